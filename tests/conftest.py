"""Mends torchvision before any test module imports it, and keeps sums reproducible."""

import pytest
import torch
from hypothesis import HealthCheck, settings
from matplotlib.figure import Figure

import cl_strategies  # noqa: F401  (installs the torchvision repair)

torch.set_num_threads(1)

# How long an example takes says how busy the machine is, and nothing about the code.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")


@pytest.fixture(autouse=True)
def seeded_torch():
    """Tests start from the same global generator, and leave each other's alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@pytest.fixture(scope="module")
def undrawn():
    """Reports without pictures of their figures, which take most of the time of a report."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", lambda figure, file, **options: file.write("<svg></svg>"))
        yield
