"""`train.first_epochs`: the first experience is trained for a number of epochs of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cl_strategies.errors import UserError
from cl_strategies.experiment import ExperimentConfig, run
from cl_strategies.experiment.config.run_config import override
from cl_strategies.experiment.config.suite import Suite
from cl_strategies.experiment.engine.watching import Moment

TABLES: dict[str, dict[str, Any]] = {
    "benchmark": {"name": "split-digits", "n_experiences": 3, "fraction": 0.1},
    "strategy": {"name": "naive"},
    "model": {"name": "mlp", "hidden": [4]},
}


def config(**train: Any) -> ExperimentConfig:
    return ExperimentConfig.from_dict({**TABLES, "train": train})


def epochs_of(asked: ExperimentConfig, out: Path, *, stop: int = 3) -> list[int]:
    """Epochs of each experience; the run is interrupted when ``stop`` of them are over."""
    counts = [0, 0, 0]

    def watch(moment: Moment) -> None:
        if moment.experience == stop:
            raise KeyboardInterrupt
        counts[moment.experience] += moment.over

    try:
        run(asked, out, watch=watch)
    except KeyboardInterrupt:
        assert stop < 3
    return counts


@pytest.mark.parametrize("stop", [1, 2])
def test_the_first_experience_has_its_own_epochs_wherever_a_run_is_interrupted(
    stop: int, tmp_path: Path
) -> None:
    asked = config(epochs=1, first_epochs=3, schedule="cosine")
    assert epochs_of(asked, tmp_path / "whole") == [3, 1, 1]
    found = [epochs_of(asked, tmp_path / "part", stop=stop), epochs_of(asked, tmp_path / "part")]
    assert [sum(counts) for counts in zip(*found, strict=True)] == [3, 1, 1]
    results = [
        json.loads(next((tmp_path / out).glob("runs/*/result.json")).read_text())
        for out in ("whole", "part")
    ]
    assert results[0]["accuracy_matrix"] == results[1]["accuracy_matrix"]


def test_a_run_that_does_not_ask_for_it_is_the_run_of_before() -> None:
    assert "first_epochs" not in config().to_dict()["train"]
    assert config().hash == config(first_epochs=0).hash != config(first_epochs=2).hash
    with pytest.raises(UserError, match="first_epochs"):
        config(first_epochs=-1)


def test_epochs_that_are_set_later_hold_for_the_first_experience_too() -> None:
    tables = {**TABLES, "train": {"epochs": 170, "first_epochs": 200}}
    assert override(tables, {"train.epochs": 1})["train"] == {"epochs": 1}
    both = {"train.epochs": 1, "train.first_epochs": 2}
    assert override(tables, both)["train"] == {"epochs": 1, "first_epochs": 2}
    assert override(tables, {"train.lr": 0.5})["train"]["first_epochs"] == 200
    suite = Suite(
        benchmarks=[{"name": "split-digits"}],
        strategies=[{"name": "naive"}, {"name": "si", "train": {"epochs": 90}}],
        shared={"train": {"epochs": 170, "first_epochs": 200}},
    )
    found = [(one.train.epochs, one.train.first_epochs) for one in suite.configs()]
    assert found == [(170, 200), (90, 0)]
