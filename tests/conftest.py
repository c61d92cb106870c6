"""Mends torchvision before any test module imports it, and keeps sums reproducible."""

import pytest
import torch

import cl_strategies  # noqa: F401  (installs the torchvision repair)

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def seeded_torch():
    """Tests start from the same global generator, and leave each other's alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
