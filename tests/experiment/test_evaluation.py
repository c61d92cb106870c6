"""What is evaluated after each experience: all that can have changed, or every n-th time."""

from __future__ import annotations

import json
import logging
import math

import numpy as np
import pytest

from cl_strategies.errors import UserError
from cl_strategies.experiment.config.run_config import ExperimentConfig, override
from cl_strategies.experiment.directory.rows import accuracy_matrix
from cl_strategies.experiment.directory.run_directory import RunDirectory
from cl_strategies.experiment.engine import training
from cl_strategies.experiment.engine.evaluation import Evaluation
from cl_strategies.experiment.engine.runner import run
from cl_strategies.strategies import Naive

EXPERIENCES = 5
TABLES = {
    "benchmark": {
        "name": "split-digits",
        "scenario": "task",
        "n_experiences": EXPERIENCES,
        "fraction": 0.2,
    },
    "model": {"name": "mlp", "hidden": [8]},
    "train": {"epochs": 2},
}
CONVOLUTIONAL = {"name": "small-resnet", "channels": [4], "stem_stride": 2}  # with BatchNorm
OLD_PRUNED = {"prune_old_tasks": True, "pruning": "percentile"}


def config(strategy, model=None, **values):
    tables = {**TABLES, "strategy": {"name": strategy}, "model": model or TABLES["model"]}
    return ExperimentConfig.from_dict(
        override(tables, {key.replace("__", "."): value for key, value in values.items()})
    )


@pytest.fixture
def evaluated(monkeypatch):
    """How many experiences each evaluation had, in their order."""
    counts = []
    measured = Evaluation._measured

    def counted(self, positions):
        found = measured(self, positions)
        counts.append(len(found))
        return found

    monkeypatch.setattr(Evaluation, "_measured", counted)
    return counts


def stop_after(experiences):
    def progress(done, total):
        if done == experiences:
            raise KeyboardInterrupt

    return progress


def rows(out, made):
    lines = RunDirectory(out, made).metrics.read_text().splitlines()
    return [json.loads(line) for line in lines]


NAMES = ("halrp", "wsn", "batch-norm", "batch-ensemble", "single-task")
FIXED = {
    **{name: {} for name in NAMES},
    "halrp-unpruned": {"strategy__prune_old_tasks": True, "strategy__pruning": "none"},
    "single-task-quantised": {"quantization__quantizer": "lsq"},
    "single-task-domain": {"benchmark__scenario": "domain"},
    "single-task-class": {"benchmark__scenario": "class"},
}


@pytest.mark.parametrize(
    "model",
    [None, pytest.param(CONVOLUTIONAL, marks=pytest.mark.slow)],
    ids=["mlp", "batch-norm"],
)
@pytest.mark.parametrize("case", FIXED)
def test_copied_accuracies_are_those_of_full_evaluation(
    case, model, tmp_path, evaluated, monkeypatch
):
    name = next(name for name in NAMES if case.startswith(name))
    made = config(name, model, **FIXED[case])
    copied = run(made, tmp_path / "copied")
    assert evaluated == [1, 2, 2, 2, 2, EXPERIENCES - 2]  # the last: what no one looked at
    del evaluated[:]
    monkeypatch.setattr(Evaluation, "_may_copy", lambda self, position: False)
    measured = run(made, tmp_path / "measured")
    assert evaluated == [1, 2, 3, 4, 5]
    assert copied.accuracy_matrix == measured.accuracy_matrix
    assert copied.bytes == measured.bytes
    costs = {"train_seconds"}
    assert {k: v for k, v in copied.metrics.items() if k not in costs} == {
        k: v for k, v in measured.metrics.items() if k not in costs
    }


@pytest.mark.parametrize(("strategy", "options"), [("naive", {}), ("halrp", OLD_PRUNED)])
def test_what_may_change_is_evaluated(strategy, options, tmp_path, evaluated):
    given = {f"strategy__{key}": value for key, value in options.items()}
    run(config(strategy, **given), tmp_path)
    assert evaluated == [1, 2, 3, 4, 5]


def test_a_declaration_that_is_wrong_is_told_and_nothing_that_was_copied_counts(
    tmp_path, monkeypatch, caplog
):
    made = config("naive", train__epochs=6)
    honest = run(made, tmp_path / "honest").matrix
    assert (np.diff(honest[1:, 0]) != 0).any()  # the first task is forgotten: a case at all
    monkeypatch.setattr(Naive, "fixed_tasks", True)
    with caplog.at_level(logging.WARNING):
        record = run(made, tmp_path / "wrong")
    assert "Naive declares that finished tasks cannot change" in caplog.text
    found = record.matrix
    assert np.array_equal(found[-1], honest[-1])
    seen = np.isfinite(found)
    assert np.array_equal(found[seen], honest[seen])


class Recorded:
    """A strategy, its matrix and its stream in one: accuracies that the test sets."""

    fixed_tasks = True

    def __init__(self, experiences):
        self.accuracies = [0.5] * experiences
        self.latest = {}

    def eval(self, experiences):
        self.latest = {i: self.accuracies[i] for i in experiences}


def recorded(experiences, seed=0):
    fake = Recorded(experiences)
    return fake, Evaluation(fake, fake, range(experiences), every=1, seed=seed)


def with_costs(position, measured):
    return {"experience": position, **measured}


def test_a_task_that_changes_where_no_check_looked_is_found_at_the_end(caplog):
    fake, evaluation = recorded(20)
    rows = [with_costs(position, evaluation.after(position)) for position in range(20)]
    unseen = min(set(range(20)) - set(rows[-1]["evaluated"]))
    fake.accuracies[unseen] = 0.25
    assert not evaluation.refuted
    rows[-1] = evaluation.closing(rows[-1])
    assert evaluation.refuted and f"the accuracy on experience {unseen} is 0.25" in caplog.text
    assert rows[-1]["accuracy"] == fake.accuracies and "evaluated" not in rows[-1]
    matrix = accuracy_matrix(rows, 20, copies=False)
    assert np.isfinite(matrix[-1]).all() and np.isfinite(np.diagonal(matrix)).all()
    assert np.isfinite(matrix[10]).sum() == 2  # its own task, and the one that was checked
    assert np.isfinite(accuracy_matrix(rows, 20)[10]).sum() == 11


def test_a_check_finds_a_change_sooner_or_later_and_everything_is_evaluated_from_then_on():
    fake, evaluation = recorded(60)
    for position in range(30):
        evaluation.after(position)
    fake.accuracies[:30] = [0.1] * 30
    assert "evaluated" not in evaluation.after(30) and evaluation.refuted
    assert "evaluated" not in evaluation.after(31)


def test_every_task_is_checked_in_a_long_stream_and_seeds_check_others():
    drawn = []
    for seed in (0, 1):
        _, evaluation = recorded(400, seed)
        checked = [evaluation.after(position).get("evaluated") for position in range(400)]
        drawn.append([pair[0] for pair in checked if pair])
    assert drawn[0] != drawn[1]
    assert len(set(drawn[0])) > 200


def test_a_last_row_that_was_measured_is_not_measured_again():
    fake, evaluation = recorded(2)
    rows = [with_costs(position, evaluation.after(position)) for position in range(2)]
    fake.latest = {}
    assert evaluation.closing(rows[-1]) is rows[-1] and fake.latest == {}


def test_a_refuted_declaration_stays_refuted_after_a_restart(tmp_path, monkeypatch):
    monkeypatch.setattr(Naive, "fixed_tasks", True)
    made = config("naive", train__epochs=6)
    whole = run(made, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(made, tmp_path / "cut", progress=stop_after(4))
    assert run(made, tmp_path / "cut").accuracy_matrix == whole.accuracy_matrix


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_run_that_continues_elsewhere_evaluates_everything_once(
    elsewhere, tmp_path, monkeypatch, evaluated
):
    made = config("wsn")
    with pytest.raises(KeyboardInterrupt):
        run(made, tmp_path, progress=stop_after(3))
    here = training.describe_environment("cpu")
    if elsewhere:
        monkeypatch.setattr(
            training, "describe_environment", lambda device: {**here, "processor": "another"}
        )
    del evaluated[:]
    assert run(made, tmp_path).finished
    assert evaluated == ([4, 2, 3] if elsewhere else [2, 2, 3])


def test_rows_say_what_was_evaluated(tmp_path):
    made = config("batch-norm")
    record = run(made, tmp_path)
    found = rows(tmp_path, made)
    assert ["evaluated" in row for row in found] == [False, False, True, True, True]
    for row in found[2:]:
        assert len(row["evaluated"]) == 2 and row["evaluated"][-1] == row["experience"]
    assert found[-1]["accuracy"] == list(record.accuracy_matrix[-1])


# ---------------------------------------------------------------------- every n-th experience


@pytest.mark.parametrize("strategy", ["naive", "wsn"])
@pytest.mark.parametrize("every", [2, pytest.param(3, marks=pytest.mark.slow), 9])
def test_every_nth_row_and_the_last_are_whole_the_others_have_the_new_task_alone(
    strategy, every, tmp_path
):
    made = config(strategy, run__evaluate_every=every)
    full, record = run(config(strategy), tmp_path), run(made, tmp_path)
    expected = full.matrix.copy()
    for position in range(EXPERIENCES - 1):
        if (position + 1) % every:
            expected[position, :position] = np.nan
    np.testing.assert_array_equal(record.matrix, expected)
    for name in ("average_accuracy", "learning_accuracy", "backward_transfer"):
        assert record.metrics[name] == full.metrics[name]
    for name in ("forgetting", "relative_forgetting", "average_incremental_accuracy"):
        assert record.metrics[name] is None


def test_a_stream_evaluated_now_and_then_resumes_with_the_same_numbers(tmp_path):
    made = config("si", run__evaluate_every=2)
    whole = run(made, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(made, tmp_path / "cut", progress=stop_after(3))
    assert run(made, tmp_path / "cut").accuracy_matrix == whole.accuracy_matrix


def test_it_is_part_of_the_hash_and_its_default_is_not():
    plain, every = config("si"), config("si", run__evaluate_every=2)
    assert plain.hash != every.hash
    assert plain.hash == config("si", run__evaluate_every=1).hash
    assert "evaluate_every" not in plain.to_dict()["run"]
    assert ExperimentConfig.from_dict(every.to_dict()) == every


@pytest.mark.parametrize("value", [0, -1, 1.5, "2", True, None])
def test_values_that_are_none_are_refused(value):
    with pytest.raises(UserError, match=r"run\.evaluate_every is"):
        config("si", run__evaluate_every=value)


def test_curves_go_over_what_was_not_evaluated(tmp_path):
    from cl_strategies.reports.analysis.curves.experiences import seen_accuracy
    from cl_strategies.reports.analysis.grouping import group_records
    from cl_strategies.reports.reading.collection import collect
    from cl_strategies.reports.write import write_report

    run(config("naive", run__evaluate_every=2), tmp_path)
    write_report(tmp_path)
    (group,) = group_records([found.record for found in collect(tmp_path).runs])
    curve = seen_accuracy(group).mean
    assert [math.isfinite(value) for value in curve] == [True, True, False, True, True]
    assert not seen_accuracy(group).only_at_the_end
