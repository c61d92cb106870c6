"""W&B: what it is told; with wandb itself in the slow test."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest

from cl_strategies.experiment import ExperimentConfig, run

TABLES = {
    "benchmark": {"name": "split-digits", "n_experiences": 2, "fraction": 0.1},
    "strategy": {"name": "naive"},
    "train": {"epochs": 2},
    "logging": {"to": ["wandb"], "project": "mine", "offline": True},
}
CONFIG = ExperimentConfig.from_dict(TABLES)


@pytest.fixture
def recorded(monkeypatch):
    """A stand-in for wandb, that writes down what it is told."""
    said = []

    def init(**options):
        said.append(("init", options))
        return SimpleNamespace(
            id=options["id"],
            log=lambda numbers, step: said.append(("log", step, numbers)),
            finish=lambda exit_code: said.append(("finish", exit_code)),
        )

    module = ModuleType("wandb")
    module.__spec__ = SimpleNamespace(name="wandb")  # what find_spec looks at
    module.init, module.Settings = init, lambda **options: options
    monkeypatch.setitem(sys.modules, "wandb", module)
    return said


def test_an_interrupted_run_is_one_run_of_wandb(recorded, tmp_path):
    def stop(moment):
        if (moment.experience, moment.epoch) == (1, 1):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(CONFIG, tmp_path, watch=stop)
    run(CONFIG, tmp_path)
    (_, first), (_, second) = [said for said in recorded if said[0] == "init"]
    assert first["id"] == second["id"] and second["resume"] == "allow"
    assert (first["project"], first["name"], first["mode"]) == ("mine", CONFIG.slug, "offline")
    assert first["config"]["strategy"]["name"] == "naive"
    logged = [(step, sorted(numbers)) for kind, step, *numbers in recorded if kind == "log"]
    steps = [step for step, _ in logged]
    assert steps == sorted(steps)  # wandb drops what goes back
    losses = [said[1] for said in recorded if said[0] == "log" and "train/loss" in said[2]]
    assert losses == [1, 2, 3, 4]
    assert [said[1] for said in recorded if said[0] == "finish"] == [1, 0]


@pytest.mark.slow
def test_wandb_itself_writes_a_run_that_can_be_sent(tmp_path):
    pytest.importorskip("wandb")
    record = run(CONFIG, tmp_path)
    assert record.finished
    assert list(tmp_path.glob("logs/wandb/offline-run-*/run-*.wandb"))
