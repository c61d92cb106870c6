"""Runs on streams in parts: a row stands for a whole experience, also after an interruption."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cl_strategies.benchmarks import load
from cl_strategies.cli.app import main
from cl_strategies.errors import UserError
from cl_strategies.experiment.config.run_config import ExperimentConfig
from cl_strategies.experiment.directory.run_directory import RunDirectory
from cl_strategies.experiment.engine.runner import run
from cl_strategies.experiment.identity.data_fingerprint import fingerprint
from cl_strategies.experiment.state.checkpoint import load_checkpoint
from cl_strategies.experiment.sweep.preflight import check_configs
from cl_strategies.models.heads import SingleHeadModel
from cl_strategies.plugins import AccuracyMatrix, LeanEvaluationPlugin
from cl_strategies.strategies import Joint, Naive

STREAMS = {
    "online-split-digits": {"n_experiences": 3, "fraction": 0.1, "experience_size": 16},
    "blurry-split-digits": {"n_experiences": 3, "fraction": 0.1, "experience_size": 16},
    "repetition-digits": {
        "n_experiences": 3,
        "slots": 6,
        "fraction": 0.1,
        "experience_size": 16,
        "boundaries": True,
    },
}


def config(name="online-split-digits", strategy="replay", **options):
    return ExperimentConfig.from_dict(
        {
            "benchmark": {"name": name, **STREAMS[name], **options},
            "strategy": {"name": strategy},
            "model": {"hidden": [16]},
            "train": {"lr": 0.05},
        }
    )


def same(left, right):
    """Whether nested plain data and tensors are equal bit for bit."""
    if isinstance(left, torch.Tensor):
        return torch.equal(left, right)
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    return left == right


@pytest.mark.parametrize("name", STREAMS)
def test_a_row_stands_for_a_whole_experience(tmp_path, name):
    done = []
    record = run(config(name), tmp_path, progress=lambda *counts: done.append(counts))
    assert record.status == "finished"
    assert done == [(0, 3), (1, 3), (2, 3), (3, 3)]
    matrix = np.array(record.accuracy_matrix, dtype=float)
    assert matrix.shape == (3, 3)
    assert np.isfinite(matrix[np.tril_indices(3)]).all()
    assert np.isnan(matrix[np.triu_indices(3, 1)]).all()
    assert {"average_accuracy", "forgetting"} <= record.metrics.keys()


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("strategy", ["replay", "si"])
def test_an_interrupted_run_ends_with_the_same_numbers_bit_for_bit(tmp_path, name, strategy):
    settings = config(name, strategy)
    record = run(settings, tmp_path / "whole")

    def stop(done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(settings, tmp_path / "cut", progress=stop)
    resumed = run(settings, tmp_path / "cut")

    assert resumed.accuracy_matrix == record.accuracy_matrix
    assert resumed.bytes == record.bytes
    states = [
        load_checkpoint(RunDirectory(tmp_path / place, settings).checkpoint, device="cpu")
        for place in ("whole", "cut")
    ]
    assert same(states[0]["strategy"], states[1]["strategy"])


def test_the_engine_trains_the_parts_as_a_script_does(tmp_path):
    """One part after the other, and the matrix of the plugin has the rows of the run."""
    benchmark = load("online-split-digits", **STREAMS["online-split-digits"])
    matrix = AccuracyMatrix()
    torch.manual_seed(0)
    network = SingleHeadModel(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    strategy = Naive(
        model=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=0.1),
        evaluator=LeanEvaluationPlugin(matrix),
        train_mb_size=16,
    )
    for part in benchmark.train_stream:
        strategy.train(part)
        if part.is_last_subexp:
            strategy.eval(benchmark.test_stream)
    assert matrix.matrix.shape == (3, 3) and np.isfinite(matrix.matrix).all()
    assert strategy.clock.train_iterations == sum(benchmark.info.parts)


def test_joint_training_on_parts_fills_the_last_row_alone(tmp_path):
    benchmark = load("online-split-digits", **STREAMS["online-split-digits"])
    matrix = AccuracyMatrix()
    network = SingleHeadModel(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    strategy = Joint(
        model=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=0.1),
        evaluator=LeanEvaluationPlugin(matrix),
    )
    strategy.train(list(benchmark.train_stream))
    strategy.eval(benchmark.test_stream)
    assert matrix.matrix.shape == (3, 3)
    assert np.isnan(matrix.matrix[:2]).all() and np.isfinite(matrix.matrix[2]).all()
    record = run(config(strategy="joint"), tmp_path)
    assert record.status == "finished" and [*record.accuracy_matrix[0]] == [None] * 3
    assert RunDirectory(tmp_path, config(strategy="joint")).checkpoint.exists()


def test_a_strategy_that_needs_whole_experiences_is_refused_before_the_first_run(tmp_path):
    with pytest.raises(UserError, match="icarl needs all samples.*use a stream of whole"):
        check_configs([config(strategy="icarl")])
    with pytest.raises(UserError, match="brings each experience in parts"):
        run(config(strategy="icarl"), tmp_path)


def test_the_command_line_runs_and_refuses(tmp_path, capsys):
    stream = ["run", "--benchmark", "blurry-split-digits", "--out", str(tmp_path)]
    settings = ["benchmark.n_experiences=2", "benchmark.fraction=0.05", "model.hidden=[8]"]
    options = [text for setting in settings for text in ("--set", setting)]
    assert main([*stream, *options, "--strategy", "naive"]) == 0
    assert "average_accuracy" in capsys.readouterr().out
    assert main([*stream, *options, "--strategy", "wa"]) == 2
    assert "in parts" in capsys.readouterr().err


def test_how_a_stream_is_cut_is_no_part_of_its_data():
    cut = [
        fingerprint(load("online-split-digits", fraction=0.1, **options))
        for options in ({}, {"experience_size": 3}, {"sample_seed": 5}, {"order": 2})
    ]
    assert len(set(cut)) == 1
    assert cut[0] == fingerprint(load("split-digits", fraction=0.1))
