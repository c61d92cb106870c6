"""The examples in the docstrings of the functional forms."""

import doctest
import importlib

import pytest

MODULES = ["admm", "apot", "cdf", "dorefa", "lsq", "prox", "uniform"]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_hold(name):
    suffix = "" if name == "admm" else "_functions"
    module = importlib.import_module(f"cl_strategies.plugins.quantization.{name}{suffix}")
    result = doctest.testmod(module)
    assert result.attempted > 0 and result.failed == 0


@pytest.mark.parametrize("name", ["balanced", "measures", "packing"])
def test_examples_of_losses_and_measures_hold(name):
    module = importlib.import_module(f"cl_strategies.plugins.quantization.{name}")
    result = doctest.testmod(module)
    assert result.attempted > 0 and result.failed == 0
