"""What is found out before the first run."""

import errno
import os

import pytest

from cl_strategies.errors import DataMissingError, UserError
from cl_strategies.experiment.config.run_config import ExperimentConfig
from cl_strategies.experiment.setup.build import build_benchmark
from cl_strategies.experiment.sweep import preflight as checks
from cl_strategies.experiment.sweep.preflight import check_configs

SMALL = {"name": "split-digits", "n_experiences": 2, "fraction": 0.2}


def config(**benchmark):
    return ExperimentConfig.from_dict(
        {"benchmark": {**SMALL, **benchmark}, "strategy": {"name": "naive"}}
    )


@pytest.fixture
def unreadable(monkeypatch):
    """Data of the third seed for the order lie where nobody may read."""

    def build(benchmark):
        if benchmark.options["order"] == 3:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/data/digits.npz")
        return build_benchmark(benchmark)

    monkeypatch.setattr(checks, "build_benchmark", build)


def test_data_that_cannot_be_read_are_named_with_their_place(unreadable):
    message = "split-digits: its data at /data/digits.npz cannot be read .Permission denied.*--data"
    with pytest.raises(DataMissingError, match=message):
        check_configs([config(order=3)])


def test_data_that_cannot_be_read_stop_only_their_runs(unreadable):
    check_configs([config(order=3), config()])


def test_an_error_of_a_factory_names_what_was_built(monkeypatch):
    def build(*given, **options):
        raise TypeError("unsupported operand")

    monkeypatch.setattr(checks, "build_model", build)
    with pytest.raises(UserError, match="naive on split-digits with mlp cannot be built.*options"):
        check_configs([config()])
