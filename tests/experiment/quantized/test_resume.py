"""A quantized run that is interrupted in the middle of its stream ends where a whole one ends, with
every quantizer and with the strategies that quantize by themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from cl_strategies.experiment.config.run_config import ExperimentConfig
from cl_strategies.experiment.directory.run_directory import RunDirectory
from cl_strategies.experiment.engine.runner import run
from cl_strategies.experiment.state.checkpoint import load_checkpoint
from cl_strategies.registry import registry

#: What is run: a strategy and, unless it quantizes by itself, a quantizer.
CASES: dict[str, dict[str, Any]] = {
    **{
        entry.name: {"strategy": {"name": "naive"}, "quantization": {"quantizer": entry.name}}
        for entry in registry("quantizers")
    },
    "alignq with correlations": {"strategy": {"name": "alignq"}},
    "lifequant with replay": {"strategy": {"name": "lifequant", "importance_samples": 16}},
    "replay, apot": {
        "strategy": {"name": "replay", "mem_size": 31},
        "quantization": {"quantizer": "apot"},
    },
    "ewc, pact": {
        "strategy": {"name": "ewc", "strength": 100.0},
        "quantization": {"quantizer": "pact"},
    },
    "single-task, lsq": {
        "strategy": {"name": "single-task"},
        "quantization": {"quantizer": "lsq"},
    },
    "gdumb, pact": {
        "strategy": {"name": "gdumb", "mem_size": 31},
        "quantization": {"quantizer": "pact"},
    },
}
WIDTHS = {"weight_bits": 3, "activation_bits": 3}


def config(case: dict[str, Any], experiences: int) -> ExperimentConfig:
    tables = {
        "benchmark": {"name": "split-digits", "n_experiences": experiences, "fraction": 0.1},
        "model": {"name": "cnn", "channels": [3, 4], "hidden": 8},
        "train": {"batch_size": 16, "optimizer": "sgd", "momentum": 0.9, "lr": 0.02},
        **{key: dict(table) for key, table in case.items()},
    }
    tables["quantization" if "quantization" in case else "strategy"] |= WIDTHS
    return ExperimentConfig.from_dict(tables)


def end(made: ExperimentConfig, out: Path) -> dict[str, torch.Tensor]:
    state = load_checkpoint(RunDirectory(out, made).checkpoint)
    return dict(leaves(state["strategy"]))


def leaves(state: Any, path: str = "") -> list[tuple[str, torch.Tensor]]:
    if torch.is_tensor(state):
        return [(path, state)]
    if isinstance(state, dict):
        return [leaf for key, value in state.items() for leaf in leaves(value, f"{path}/{key}")]
    if isinstance(state, list | tuple):
        return [leaf for i, value in enumerate(state) for leaf in leaves(value, f"{path}/{i}")]
    return []


@pytest.mark.parametrize("after", [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", CASES)
def test_an_interrupted_run_ends_where_a_whole_one_ends(
    name: str, after: int, tmp_path: Path
) -> None:
    made = config(CASES[name], after + 1)
    whole = run(made, tmp_path / "whole")

    def stop(done: int, total: int) -> None:
        if done == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(made, tmp_path / "parts", progress=stop)
    interrupted = end(made, tmp_path / "parts")
    resumed = run(made, tmp_path / "parts")

    assert whole.finished and resumed.accuracy_matrix == whole.accuracy_matrix
    expected, found = end(made, tmp_path / "whole"), end(made, tmp_path / "parts")
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in expected)
    weights = [key for key in expected if key.startswith("/model/weights")]
    assert any(not torch.equal(expected[key], interrupted[key]) for key in weights)
