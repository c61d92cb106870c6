"""Run directories of version 0.1.0: found under their old and new options, read, and reported."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cl_strategies.cli import main
from cl_strategies.experiment import ExperimentConfig, RunDirectory

OLD = Path(__file__).parents[1] / "golden" / "version-0.1.0"
TABLES = {
    "benchmark": {"name": "split-digits", "n_experiences": 2, "fraction": 0.2},
    "model": {"name": "mlp", "hidden": [8]},
    "train": {"epochs": 1},
}
#: Options as that version had them, and as they are now.
OPTIONS = {
    "si": ({"c": 2.0}, {"strength": 2.0}),
    "lwf": ({"alpha": 2.0}, {"strength": 2.0}),
    "mas": ({"lambda_reg": 2.0}, {"strength": 2.0}),
    "ewc": ({"ewc_lambda": 5.0}, {"strength": 5.0, "fisher": "batch"}),
}


@pytest.fixture
def old(tmp_path):
    shutil.copytree(OLD, tmp_path / "old")
    return tmp_path / "old"


def config(strategy, options):
    return ExperimentConfig.from_dict({**TABLES, "strategy": {"name": strategy, **options}})


def command(strategy, out, **options):
    sets = {"benchmark.n_experiences": 2, "benchmark.fraction": 0.2, "model.hidden": [8]}
    sets |= {"train.epochs": 1} | {f"strategy.{key}": value for key, value in options.items()}
    given = [part for key, value in sets.items() for part in ("--set", f"{key}={value}")]
    return ["run", "--benchmark", "split-digits", "--strategy", strategy, "--out", str(out), *given]


@pytest.mark.parametrize("strategy", OPTIONS)
def test_a_run_is_the_same_under_old_and_new_names(strategy):
    found = {RunDirectory(OLD, config(strategy, options)).path for options in OPTIONS[strategy]}
    assert len(found) == 1 and found.pop().is_dir()


def test_a_codec_is_the_same_under_its_old_and_new_name():
    (folder,) = (OLD / "runs").glob("compressed-replay-*")
    for name in ("quantised", "quantized"):
        made = config("compressed-replay", {"codec": f"{name}:bits=4", "mem_bytes": 2000})
        assert folder.name.endswith(made.hash)


@pytest.mark.parametrize("name", ["c", "strength"])
def test_a_finished_run_is_read_and_said_to_be_of_that_version(old, capsys, name):
    (before,) = (old / "runs").glob("si-*")
    kept = (before / "result.json").read_bytes()
    assert main(command("si", old, **{name: 2.0})) == 0
    said = capsys.readouterr().err
    assert "read, not computed" in said and "0.1.0" in said
    assert (before / "result.json").read_bytes() == kept


def test_an_interrupted_run_is_refused_in_words(old, capsys):
    assert main(command("mas", old, strength=2.0)) == 2
    said = capsys.readouterr().err
    assert "checkpoint" in said and "another version" in said


def test_old_runs_still_report(old, capsys):
    assert main(["report", str(old)]) == 0
    summary = (old / "summary.csv").read_text()
    assert all(name in summary for name in ("si", "lwf", "compressed-replay"))
