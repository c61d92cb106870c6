"""Mends torchvision before any test module imports it, and keeps sums reproducible."""

import gc
import os
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings
from matplotlib.figure import Figure

import cl_strategies  # noqa: F401  (installs the torchvision repair)

gc.disable()  # what imports and collection leave stays: looking through it takes seconds
gc.set_threshold(20_000, 20, 20)  # small networks are made and dropped by the thousand
torch.set_num_threads(1)

# How long an example takes says how busy the machine is, and nothing about the code.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")


def pytest_collection_finish():
    """What is there when the first test starts is never garbage."""
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True, scope="session")
def unsynced():
    """Files of tests need not outlive a power cut: waiting for the disk 25,000 times is long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(autouse=True)
def seeded_torch():
    """Tests start from the same global generator, and leave each other's alone."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)  # torch.manual_seed formats a stack each time
        if torch.cuda.is_initialized():
            torch.cuda.manual_seed_all(0)
        yield


@pytest.fixture(scope="module")
def undrawn():
    """Reports without pictures of their figures, which take most of the time of a report."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            Figure,
            "savefig",
            lambda figure, file, **options: (
                Path(file).touch() if isinstance(file, str) else file.write("<svg></svg>")
            ),
        )
        yield
