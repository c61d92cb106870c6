"""[continual_evaluation]: a trace beside the result, the same whether or not a run is interrupted,
and a run that is otherwise what it is without one."""

from __future__ import annotations

import json
import math

import pytest

from cl_strategies.errors import UserError
from cl_strategies.experiment.config.run_config import ExperimentConfig, override
from cl_strategies.experiment.directory.run_directory import RunDirectory
from cl_strategies.experiment.engine.runner import run
from cl_strategies.plugins.continual_evaluation.trace_file import read_trace

TABLES = {
    "benchmark": {"name": "split-digits", "n_experiences": 5, "fraction": 0.2},
    "model": {"name": "mlp", "hidden": [8]},
    "train": {"epochs": 2, "batch_size": 10},
}
TRACED = {"continual_evaluation": {"every": 3, "samples": 20, "dense": 2}}


def config(strategy="replay", scenario="class", traced=True, **values):
    tables = {**TABLES, "strategy": {"name": strategy}, **(TRACED if traced else {})}
    changes = {"benchmark.scenario": scenario, **values}
    return ExperimentConfig.from_dict(override(tables, changes))


def stop_after(experiences):
    def progress(done, total):
        if done == experiences:
            raise KeyboardInterrupt

    return progress


def trace_of(made, out):
    return read_trace(RunDirectory(out, made).trace)


def numbers(record):
    """Its metrics but those of a clock."""
    return {name: v for name, v in record.metrics.items() if not name.endswith("_seconds")}


def test_a_table_that_is_not_there_leaves_hashes_alone():
    plain = config(traced=False)
    assert "continual_evaluation" not in plain.to_dict()
    assert config().hash != plain.hash
    assert config().hash == ExperimentConfig.from_dict(config().to_dict()).hash
    assert config(**{"continual_evaluation.window": 50}).hash != config().hash


@pytest.mark.parametrize(
    ("table", "match"),
    [
        ({"cost": 0}, r"continual_evaluation\.cost is"),
        ({"every": 1.5}, r"continual_evaluation\.every is"),
        ({"samples": "all"}, r"continual_evaluation\.samples is"),
        ({"sample": 3}, r"key of \[continual_evaluation\]"),
        (3, "continual_evaluation"),
    ],
)
def test_bad_tables(table, match):
    with pytest.raises(UserError, match=match):
        ExperimentConfig.from_dict(
            {**TABLES, "strategy": {"name": "naive"}, "continual_evaluation": table}
        )


@pytest.mark.parametrize(
    ("strategy", "scenario"), [("replay", "class"), ("naive", "task"), ("halrp", "task")]
)
def test_the_rest_of_a_run_is_as_without_a_trace(tmp_path, strategy, scenario):
    made = config(strategy, scenario)
    plain = run(config(strategy, scenario, traced=False), tmp_path)
    traced = run(made, tmp_path)
    assert traced.accuracy_matrix == plain.accuracy_matrix
    assert traced.bytes == plain.bytes
    assert traced.metrics.keys() > plain.metrics.keys()
    found = numbers(traced)
    assert {name: found[name] for name in numbers(plain)} == numbers(plain)
    assert not RunDirectory(tmp_path, config(strategy, scenario, traced=False)).trace.exists()


def test_an_interrupted_run_has_the_same_trace(tmp_path):
    made = config()
    whole = run(made, tmp_path / "whole")
    for experiences in (1, 3):
        out = tmp_path / str(experiences)
        with pytest.raises(KeyboardInterrupt):
            run(made, out, progress=stop_after(experiences))
        assert len(trace_of(made, out).last_points) == experiences
        RunDirectory(out, made).trace.unlink()  # the checkpoint holds it, too
        assert numbers(run(made, out)) == numbers(whole)
        parts = [RunDirectory(place, made).trace for place in (out, tmp_path / "whole")]
        assert parts[0].read_bytes() == parts[1].read_bytes()


def test_the_metrics_of_a_trace_are_those_of_the_result(tmp_path):
    made = config()
    record = run(made, tmp_path)
    trace = trace_of(made, tmp_path)
    matrix = trace.points[trace.last_points]
    lowest = [trace.points[trace.last_points[i] + 1 :, i].min() for i in range(len(matrix) - 1)]
    assert record.metrics["min_acc"] == pytest.approx(sum(lowest) / len(lowest))
    assert record.metrics["min_acc"] < record.metrics["average_accuracy"]
    assert record.metrics["trace_cost"] > 0 and record.metrics["trace_seconds"] > 0
    assert record.metrics["lca_10"] is None  # classes that no output was trained for
    assert max(trace.totals) == 20
    rows = [json.loads(line) for line in RunDirectory(tmp_path, made).metrics.open()]
    assert math.isclose(sum(row["trace_seconds"] for row in rows), record.metrics["trace_seconds"])


def test_all_samples_find_the_accuracies_of_the_matrix(tmp_path):
    made = config("icarl", **{"continual_evaluation.samples": 10_000})
    record = run(made, tmp_path)
    trace = trace_of(made, tmp_path)
    ends = trace.points[trace.last_points]
    for t, row in enumerate(record.accuracy_matrix):
        assert ends[t, : t + 1].tolist() == pytest.approx(row[: t + 1])


def test_joint_training_has_no_trace_and_no_numbers(tmp_path):
    record = run(config("joint"), tmp_path)
    assert record.finished and record.metrics["min_acc"] is None
    assert trace_of(config("joint"), tmp_path).where == []
