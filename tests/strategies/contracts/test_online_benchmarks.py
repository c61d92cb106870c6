"""Every registered strategy learns the registered streams in parts, or says why not before."""

from __future__ import annotations

import numpy as np
import pytest
import small
from families import represents

from cl_strategies.errors import UserError
from cl_strategies.experiment.config.run_config import ExperimentConfig
from cl_strategies.experiment.engine.runner import run
from cl_strategies.registry import registry

#: Strategies with one head that cannot learn parts, for reasons of their own.
REFUSED = {
    *("icarl", "lucir", "wa", "bic", "podnet", "der-expandable", "foster", "aanets", "mnemonics"),
    *("mrdc", "dann", "dsan", "single-task", "prd"),
}
ENTRIES = list(registry("strategies"))
#: With heads per task where there can be some, and with one head on samples of mixed classes.
CASES = [
    *(
        ("online-split-digits", one.name, "task" if "task" in one.scenarios else one.scenarios[0])
        for one in ENTRIES
    ),
    *(
        pytest.param(
            "blurry-split-digits", name, "class", marks=[] if first else [pytest.mark.slow]
        )
        for name, first in represents(e.name for e in ENTRIES if "class" in e.scenarios).items()
    ),
]
SMALL = {"n_experiences": 2, "fraction": 0.05, "experience_size": 24}


@pytest.mark.parametrize(("stream", "strategy", "scenario"), CASES)
def test_a_strategy_learns_a_stream_in_parts_or_is_refused_before_training(
    tmp_path, stream, strategy, scenario
):
    config = ExperimentConfig.from_dict(
        {
            "benchmark": {"name": stream, "scenario": scenario, **SMALL},
            "strategy": {"name": strategy, **small.OPTIONS.get(strategy, {})},
            "model": small.network(strategy),
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
