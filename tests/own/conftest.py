"""A folder to be in with modules of a user's own, which are forgotten afterwards."""

import sys
from pathlib import Path

import pytest

from cl_strategies import own_code

METHOD = '''
"""A method of a user's own."""
from typing import Annotated

from annotated_types import Ge
from avalanche.core import SupervisedPlugin
from typing_extensions import Doc

from cl_strategies.strategies import PluginStrategy
from cl_strategies.validation.hyperparameters import hyperparameters


@hyperparameters
class CountPlugin(SupervisedPlugin):
    """Count experiences."""

    def __init__(self, *, strength: Annotated[float, Ge(0), Doc("Nothing.")] = 1.0):
        super().__init__()
        self.strength, self.seen = strength, 0

    def after_training_exp(self, strategy, *args, **kwargs):
        self.seen += 1


class Count(PluginStrategy):
    """Counts experiences."""

    plugin_class = CountPlugin


def needing(ratio: float, **options):
    """Has an option without a default."""
    from cl_strategies.strategies import Naive

    return Naive(**options)


def net(*, input_shape, n_classes, scenario, width: int = 4):
    """A small network."""
    import math

    from torch import nn

    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(input_shape), n_classes))


def no_strategy(model, **options):
    return {}


def no_net(input_shape, **options):
    return 5


def broken(model, **options):
    raise OSError("the disk is full")


NUMBER = 5
'''


@pytest.fixture
def own_folder(empty_folder):
    """The current folder, with ``my_method.py``."""
    (empty_folder / "my_method.py").write_text(METHOD)
    return empty_folder


@pytest.fixture
def empty_folder(tmp_path, monkeypatch):
    """The current folder, whose modules are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(own_code, "_FOLDERS", [])
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        file = getattr(sys.modules[name], "__file__", None)
        if file and tmp_path in Path(file).parents:
            del sys.modules[name]
