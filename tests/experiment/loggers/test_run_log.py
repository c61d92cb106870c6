"""Loggers: what they are told, that nothing is told twice, and that no number depends on them."""

from __future__ import annotations

import csv
import json
import logging
import random
from collections import Counter

import numpy as np
import pytest
import torch

from cl_strategies.cli import main
from cl_strategies.errors import UserError
from cl_strategies.experiment import ExperimentConfig, compare, run
from cl_strategies.experiment.config import logging_options
from cl_strategies.experiment.config.suite import Suite
from cl_strategies.experiment.loggers import csv_sink, run_log

pytestmark = pytest.mark.usefixtures("undrawn")

TABLES = {
    "benchmark": {"name": "split-digits", "n_experiences": 2, "fraction": 0.1},
    "strategy": {"name": "si"},
    "train": {"epochs": 3},
}
ALL = ("csv", "tensorboard", "mlflow")


def config(*loggers):
    return ExperimentConfig.from_dict({**TABLES, "logging": {"to": list(loggers)}})


def rows_of(out):
    (path,) = (out / "logs" / "csv").iterdir()
    return list(csv.DictReader(path.open()))


def numbers_of(out):
    (path,) = out.glob("runs/*/result.json")
    result = json.loads(path.read_text())
    for key in ("seconds", "memory", "checksum"):
        del result[key]
    del result["metrics"]["train_seconds"]
    return path.parent.name, result


class Interruption(Exception):
    pass


def interrupted(out, loggers, *, experience=1, epoch=2):
    """Begin the run, and end it within an experience after the first."""

    def stop(moment):
        if (moment.experience, moment.epoch) == (experience, epoch):
            raise Interruption

    with pytest.raises(Interruption):
        run(config(*loggers), out, watch=stop)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    out = tmp_path_factory.mktemp("plain")
    run(config(), out)
    return out


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    """A run that was interrupted, with all loggers that need no server."""
    pytest.importorskip("mlflow")
    pytest.importorskip("tensorboard")
    out = tmp_path_factory.mktemp("logged")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        interrupted(out, ALL)
        run(config(*ALL), out)
    return out


def test_no_number_depends_on_loggers(plain, logged):
    assert numbers_of(plain) == numbers_of(logged)
    assert not (plain / "logs").exists()


def test_a_logger_that_draws_random_numbers_changes_nothing(plain, tmp_path, monkeypatch):
    def drawing(self, entry):
        random.random(), np.random.rand(), torch.rand(1)

    monkeypatch.setattr(csv_sink.CsvSink, "write", drawing)
    run(config("csv"), tmp_path)
    assert numbers_of(plain) == numbers_of(tmp_path)


def test_each_epoch_and_each_experience_is_logged_once(logged):
    rows = rows_of(logged)
    assert Counter((row["step"], row["name"]) for row in rows).most_common(1)[0][1] == 1
    losses = [(row["step"], row["experience"]) for row in rows if row["name"] == "train/loss"]
    assert losses == [*zip("123", "000", strict=True), *zip("456", "111", strict=True)]
    accuracies = {
        (row["step"], row["name"]): float(row["value"])
        for row in rows
        if row["name"].startswith("test/accuracy")
    }
    matrix = numbers_of(logged)[1]["accuracy_matrix"]
    assert accuracies == {
        ("3", "test/accuracy/experience-0"): matrix[0][0],
        ("6", "test/accuracy/experience-0"): matrix[1][0],
        ("6", "test/accuracy/experience-1"): matrix[1][1],
    }
    final = {row["name"]: float(row["value"]) for row in rows if row["name"].startswith("final/")}
    assert final["final/average_accuracy"] == numbers_of(logged)[1]["metrics"]["average_accuracy"]


def test_tensorboard_and_mlflow_hold_the_same(logged):
    from mlflow.tracking import MlflowClient
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    expected = [
        (int(row["step"]), float(row["value"]))
        for row in rows_of(logged)
        if row["name"] == "train/loss"
    ]
    (folder,) = (logged / "logs" / "tensorboard").iterdir()
    events = EventAccumulator(str(folder)).Reload()
    assert [(e.step, e.value) for e in events.Scalars("train/loss")] == [
        (step, pytest.approx(value)) for step, value in expected
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        client = MlflowClient(tracking_uri=(logged / "logs" / "mlflow").absolute().as_uri())
        experiment = client.get_experiment_by_name("cl-strategies")
        (found,) = client.search_runs([experiment.experiment_id])
        assert found.info.status == "FINISHED" and found.data.params["strategy.name"] == "si"
        history = client.get_metric_history(found.info.run_id, "train/loss")
    assert [(m.step, m.value) for m in history] == expected


def test_a_run_that_is_done_again_has_a_log_of_its_own(tmp_path):
    interrupted(tmp_path, ["csv"], experience=0, epoch=2)  # leaves no checkpoint
    run(config("csv"), tmp_path)
    before = rows_of(tmp_path)
    run(config("csv"), tmp_path, rerun=True)
    again = rows_of(tmp_path)
    assert len(again) == len(before) and again != before  # seconds
    assert [(r["step"], r["name"]) for r in again] == [(r["step"], r["name"]) for r in before]


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"entries": "many"}', '{"ends": [[0, "a"]]}'])
def test_a_damaged_state_begins_the_log_anew(tmp_path, text):
    state = tmp_path / "state.json"
    state.write_text(text)
    assert run_log.LogState.read(state) is None


def test_loggers_may_be_asked_for_when_a_run_continues(tmp_path):
    interrupted(tmp_path, [])
    run(config("csv"), tmp_path)
    losses = [row["step"] for row in rows_of(tmp_path) if row["name"] == "train/loss"]
    assert losses == ["4", "5", "6"]


def test_a_logger_that_fails_is_left_out_and_the_run_goes_on(plain, tmp_path, monkeypatch, caplog):
    def failing(self, entry):
        raise OSError("the server is gone")

    monkeypatch.setattr(csv_sink.CsvSink, "write", failing)
    with caplog.at_level(logging.WARNING):
        run(config("csv"), tmp_path)
    assert numbers_of(plain) == numbers_of(tmp_path)
    (message,) = [r.getMessage() for r in caplog.records if "logger csv" in r.getMessage()]
    assert "left out from now on" in message and "the server is gone" in message


def test_a_logger_that_does_not_start_stops_before_training(tmp_path, monkeypatch):
    monkeypatch.setitem(run_log._SINKS, "csv", "cl_strategies.nothing:Sink")
    with pytest.raises(UserError, match="the logger csv does not start"):
        run(config("csv"), tmp_path)
    assert not list(tmp_path.glob("runs/*/result.json"))


@pytest.mark.parametrize("name", ["mlflow", "tensorboard", "wandb"])
def test_what_is_not_installed_is_named_before_training(tmp_path, monkeypatch, capsys, name):
    monkeypatch.setattr(logging_options, "find_spec", lambda package: None)
    message = f"pip install 'cl-strategies[{name}]'"
    command = ["--benchmark", "split-digits", "--strategies", "naive", "--log", name]
    for kind in ("run", "compare"):
        assert main([kind, *command, "--out", str(tmp_path)]) == 2
        assert message in capsys.readouterr().err.replace("\n", " ")
    with pytest.raises(UserError, match="not installed: pip install"):
        compare([config(name)], tmp_path, executor_name="serial")
    assert not (tmp_path / "logs").exists() and not list(tmp_path.glob("runs/*/metrics.jsonl"))


def test_the_table_is_read_from_files_and_is_no_part_of_the_run(tmp_path):
    text = '[logging]\nto = ["csv"]\nproject = "mine"\n'
    suite = tmp_path / "suite.toml"
    suite.write_text(f'{text}[[benchmarks]]\nname = "split-digits"\n[[strategies]]\nname = "si"\n')
    (one,) = Suite.from_toml(suite).configs()
    assert one.logging.to == ("csv",) and one.logging.project == "mine"
    assert ExperimentConfig.from_dict(one.to_tables()) == one
    assert "logging" not in one.to_dict()
    assert config().hash == config("csv").hash and config().slug == config("csv").slug


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"to": ["tensorbord"]}, "unknown logger 'tensorbord': did you mean tensorboard"),
        ({"to": "csv"}, "logging.to is 'csv'"),
        ({"to": ["csv"], "project": " "}, "logging.project is empty"),
        ({"into": ["csv"]}, r"unknown key of \[logging\] 'into'"),
    ],
)
def test_a_wrong_table_is_answered_with_what_was_expected(table, message):
    with pytest.raises(UserError, match=message):
        ExperimentConfig.from_dict({**TABLES, "logging": table})


def test_the_command_line_logs_each_run_of_a_comparison(tmp_path, capsys):
    command = ["compare", "--benchmark", "split-digits", "--strategies", "naive,si", "--epochs"]
    small = ["1", "--set", "benchmark.n_experiences=2", "--set", "benchmark.fraction=0.1"]
    out = ["--executor", "serial", "--out", str(tmp_path), "--log", "csv"]
    assert main([*command, *small, *out]) == 0
    names = {path.stem.split("-")[0] for path in (tmp_path / "logs" / "csv").iterdir()}
    assert names == {"naive", "si"}
