"""The examples in the docstrings of the functional forms."""

import doctest
import importlib

import pytest

MODULES = [
    *(f"functional.{name}" for name in ("additive_powers", "admm", "balanced_loss", "cdf")),
    *(f"functional.{name}" for name in ("dorefa", "learned_step", "prox", "uniform")),
    "conversion.measures",
    "conversion.packing",
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_hold(name):
    module = importlib.import_module(f"cl_strategies.plugins.quantization.{name}")
    result = doctest.testmod(module)
    assert result.attempted > 0 and result.failed == 0
