"""Online and near-future accuracy in the record of a run on an online stream."""

from __future__ import annotations

import json
import math

import pytest
import torch
from avalanche.training.plugins import EvaluationPlugin

from cl_strategies.benchmarks import load
from cl_strategies.experiment.config.run_config import ExperimentConfig
from cl_strategies.experiment.directory.run_directory import RunDirectory
from cl_strategies.experiment.engine.next_parts import NextParts, online_metrics
from cl_strategies.experiment.engine.runner import run
from cl_strategies.models.heads import SingleHeadModel
from cl_strategies.plugins import PrequentialAccuracy, SeenClassesPlugin, evaluate_then_train
from cl_strategies.reports import write_report
from cl_strategies.strategies import Naive

STREAM = {"n_experiences": 3, "fraction": 0.1, "experience_size": 8}


def naive(*plugins, metrics=()):
    torch.manual_seed(0)
    network = SingleHeadModel(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    return Naive(
        model=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=0.2),
        evaluator=EvaluationPlugin(*metrics),
        train_mb_size=8,
        plugins=[SeenClassesPlugin(), *plugins],
    )


@pytest.mark.filterwarnings("ignore:No loggers")
@pytest.mark.parametrize("name", ["online-split-digits", "blurry-split-digits"])
def test_counts_are_those_of_a_script_that_tests_each_part_and_then_trains_it(name):
    tested = NextParts(benchmark := load(name, **STREAM))
    strategy = naive(tested)
    for part in tested.tested(benchmark.train_stream, strategy):
        strategy.train(part)
    found = online_metrics([{"online": tested.take()}])
    parts = math.ceil(tested.delay / 8)
    assert tested.delay == found["near_future_delay"] > 0
    for delay, key in ((0, "online"), (parts, "near_future")):
        metric = PrequentialAccuracy()
        script = naive(metrics=[metric])
        evaluate_then_train(script, benchmark.train_stream, delay=delay)
        assert found[f"{key}_accuracy"] == metric.result()
        assert found[f"{key}_blind_accuracy"] == metric.blind
        for one, other in zip(script.model.parameters(), strategy.model.parameters(), strict=True):
            assert torch.equal(one, other)


def config(name="online-split-digits", traced=True, **options):
    tables = {
        "benchmark": {"name": name, **STREAM, **options},
        "strategy": {"name": "replay"},
        "model": {"hidden": [8]},
        "train": {"lr": 0.05},
    }
    trace = {"continual_evaluation": {"every": 10, "samples": 10, "dense": 1}} if traced else {}
    return ExperimentConfig.from_dict(tables | trace)


def test_a_run_records_them_the_same_after_an_interruption(tmp_path):
    record = run(config(), tmp_path / "whole")

    def stop(done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(config(), tmp_path / "cut", progress=stop)
    resumed = run(config(), tmp_path / "cut")
    names = [name for name in record.metrics if "online" in name or "near_future" in name]
    assert len(names) == 6
    for name in names:
        if name != "online_seconds":
            assert resumed.metrics[name] == record.metrics[name] is not None
    rows = RunDirectory(tmp_path / "whole", config()).metrics.read_text().splitlines()
    samples = sum(json.loads(row)["online"]["samples"] for row in rows)
    assert (
        samples
        == sum(map(len, (e.dataset for e in load("online-split-digits", **STREAM).whole_stream)))
        - 8
    )
    page = write_report(tmp_path / "whole").html.read_text("utf-8")
    assert "Near-future accuracy (" not in page and "Near-future accuracy, blind" in page


def test_they_take_the_table_and_nothing_else_changes(tmp_path):
    plain, traced = run(config(traced=False), tmp_path), run(config(), tmp_path)
    assert "online_accuracy" not in plain.metrics and "online_accuracy" in traced.metrics
    assert plain.accuracy_matrix == traced.accuracy_matrix and plain.bytes == traced.bytes


def test_a_task_that_was_not_trained_does_not_count_and_joint_training_has_no_parts(tmp_path):
    tested = NextParts(load("online-split-digits", scenario="task", **STREAM))
    assert tested._test(None, 1, len(tested._samples) - 1) == (0, 0, 0)
    joint = config().to_dict() | {"strategy": {"name": "joint"}}
    record = run(ExperimentConfig.from_dict(joint), tmp_path)
    assert record.finished and "online_accuracy" not in record.metrics
