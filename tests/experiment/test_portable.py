"""Portable runs: the same numbers whatever instructions the outer environment lets torch use."""

from __future__ import annotations

import json
import multiprocessing
import os
import platform
from pathlib import Path

import pytest
import torch

from cl_strategies.cli import main
from cl_strategies.errors import UserError
from cl_strategies.experiment.config.run_config import ExperimentConfig, hash_of
from cl_strategies.experiment.directory.run_directory import RunDirectory
from cl_strategies.experiment.engine.runner import run
from cl_strategies.experiment.setup import portable
from cl_strategies.experiment.state.checkpoint import load_checkpoint
from cl_strategies.experiment.sweep import executors
from cl_strategies.experiment.sweep.compare import compare

TABLES = {
    "benchmark": {"name": "permuted-digits", "n_experiences": 2, "fraction": 0.2},
    "model": {"name": "cnn", "channels": [8], "hidden": 16},
    "strategy": {"name": "si"},
}
#: Two processors: as torch finds this one, and one that has the least.
OTHERS = {"MKL_ENABLE_INSTRUCTIONS": "SSE4_2", "ONEDNN_MAX_CPU_ISA": "SSE41"}
needs_mkl = pytest.mark.skipif(
    platform.machine().lower() not in {"x86_64", "amd64"} or not torch.backends.mkl.is_available(),
    reason="portable runs need an x86-64 processor and MKL",
)


def config(**options: object) -> ExperimentConfig:
    return ExperimentConfig.from_dict({**TABLES, "run": options})


@pytest.fixture(autouse=True)
def outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither is this process portable, nor has it forked from one that was."""
    for name in portable.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(executors, "_server", [False])


def trained(out: Path, made: ExperimentConfig) -> tuple[object, object]:
    """Accuracies and weights of a finished run."""
    directory = RunDirectory(out, made)
    record = directory.record()
    assert record is not None and record.finished
    return record.accuracy_matrix, load_checkpoint(directory.checkpoint)["strategy"]


def kernels(out: Path, made: ExperimentConfig) -> dict[str, object]:
    return json.loads((RunDirectory(out, made).path / "environment.json").read_text())["kernels"]


def same(a: object, b: object) -> bool:
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return isinstance(b, list | tuple) and len(a) == len(b) and all(map(same, a, b))
    return a == b


def test_runs_without_the_option_keep_their_identity() -> None:
    tables = config().to_dict()
    before = {**tables, "run": {"seed": 0, "device": "auto", "threads": 1}}
    assert config().hash == config(portable=False).hash == hash_of(before)
    assert config(portable=True).hash != config().hash
    assert "portable" not in config().to_dict()["run"]
    made = config(portable=True)
    assert ExperimentConfig.from_dict(made.to_dict()) == made


def test_portable_runs_are_the_cpus() -> None:
    assert config(portable=True).run.device == "cpu"
    for device in ("cuda", "cuda:1"):
        with pytest.raises(UserError, match="computes on the CPU"):
            config(portable=True, device=device)


def test_a_process_that_was_not_started_for_it_refuses_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"run\.portable (needs|gives)"):
        run(config(portable=True), tmp_path)
    assert not RunDirectory(tmp_path, config(portable=True)).result.exists()


def test_a_machine_that_cannot_refuses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: False)
    monkeypatch.setattr(portable.platform, "machine", lambda: "x86_64")
    with pytest.raises(UserError, match="needs a torch that computes with MKL"):
        portable.check_machine()
    monkeypatch.setattr(portable.platform, "machine", lambda: "aarch64")
    with pytest.raises(UserError, match="this is aarch64"):
        portable.check_machine()


@needs_mkl
@pytest.mark.slow
def test_a_serial_run_is_portable_on_a_processor_with_few_instructions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in OTHERS.items():
        monkeypatch.setenv(name, value)
    made = config(portable=True)
    done = compare([made], tmp_path, executor_name="serial")
    assert not done.problems and not done.failed
    assert kernels(tmp_path, made) == {"aten": "DEFAULT", "mkl": "COMPATIBLE", "onednn": False}


@pytest.mark.slow
@needs_mkl
def test_the_numbers_are_those_of_another_processor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By `run`, and by the two executors in an environment that allows fewer instructions; the
    serial one has also a run that is not portable, and keeps it here."""
    here, there, plain = tmp_path / "here", tmp_path / "there", config(seed=1, device="cpu")
    settings = [
        f"{table}.{key}={json.dumps(value)}"
        for table, values in {**TABLES, "run": {"portable": True}}.items()
        for key, value in values.items()
    ]
    sets = [part for setting in settings for part in ("--set", setting)]
    assert main(["run", *sets, "--out", str(here)]) == 0

    for name, value in OTHERS.items():
        monkeypatch.setenv(name, value)
    made = config(portable=True)
    done = compare([made, plain], there, executor_name="serial")
    assert not done.problems and not done.failed
    assert kernels(here, made) == kernels(there, made)
    assert kernels(there, made) == {"aten": "DEFAULT", "mkl": "COMPATIBLE", "onednn": False}
    assert kernels(there, plain) != kernels(there, made)
    assert same(trained(here, made), trained(there, made))


def test_there_is_one_process_to_fork_from_and_the_other_kind_is_spawned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[bool] = []
    monkeypatch.setattr(executors, "_server", [])
    monkeypatch.setattr(
        executors.forkserver,
        "ensure_running",
        lambda: started.append(portable.VARIABLES.items() <= os.environ.items()),
    )
    if "forkserver" not in multiprocessing.get_all_start_methods():
        pytest.skip("this system forks from no other process")
    assert executors._context(True).get_start_method() == "forkserver"
    assert executors._context(False).get_start_method() == "spawn"
    assert started == [True]
