"""Every registered strategy learns the registered streams in parts, or says why not before."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cl_strategies.errors import UserError
from cl_strategies.experiment.config.run_config import ExperimentConfig
from cl_strategies.experiment.engine.runner import run
from cl_strategies.registry import registry

SMALL = {"n_experiences": 2, "fraction": 0.05, "experience_size": 24}
STREAMS: dict[str, dict[str, Any]] = {
    "online-split-digits": SMALL,
    "blurry-split-digits": SMALL,
    "repetition-digits": {**SMALL, "slots": 6},
}
#: What fits a small network.
OPTIONS: dict[str, dict[str, Any]] = {"cim": {"masks": "center"}}
#: Strategies with one head that cannot learn parts, for reasons of their own.
REFUSED = {
    *("icarl", "lucir", "wa", "bic", "podnet", "der-expandable", "foster", "aanets", "mnemonics"),
    *("mrdc", "dann", "dsan", "single-task"),
}
CASES = [
    (stream, entry.name, form)
    for stream in STREAMS
    for entry in registry("strategies")
    for form in registry("benchmarks")[stream].scenarios
    if form in entry.scenarios
]


@pytest.mark.parametrize(("stream", "strategy", "scenario"), CASES)
def test_a_strategy_learns_a_stream_in_parts_or_is_refused_before_training(
    tmp_path, stream, strategy, scenario
):
    config = ExperimentConfig.from_dict(
        {
            "benchmark": {"name": stream, "scenario": scenario, **STREAMS[stream]},
            "strategy": {"name": strategy, **OPTIONS.get(strategy, {})},
            "model": {"hidden": [8]},
        }
    )
    try:
        record = run(config, tmp_path)
    except UserError as error:
        assert f"{strategy} " in str(error) and "in parts" in str(error)
        assert not list(tmp_path.rglob("metrics.jsonl"))
        refused = True
    else:
        assert record.status == "finished", record.error
        assert np.isfinite(np.array(record.accuracy_matrix[-1], dtype=float)).all()
        refused = False
    per_task = {"task"} == set(registry("strategies")[strategy].scenarios)
    assert refused == (strategy in REFUSED or per_task or (strategy, scenario) == ("gpm", "task"))
