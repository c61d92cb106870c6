"""Metrics from records: what an independent computation gives, rebuilt bit for bit, and shown."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, confusion_matrix

from cl_strategies.errors import UserError
from cl_strategies.experiment.config.run_config import ExperimentConfig
from cl_strategies.experiment.directory.run_directory import RunDirectory
from cl_strategies.experiment.engine.runner import run
from cl_strategies.reports import add_metrics, write_report
from cl_strategies.reports.derived.keys import KEYS, checked, definition
from cl_strategies.reports.write import collected
from cl_strategies.results.checksum import sealed, unsealed
from cl_strategies.results.predictions.reader import read_predictions
from cl_strategies.results.record import load_result, write_result

pytestmark = pytest.mark.usefixtures("undrawn")

CLASS = {"name": "split-digits", "n_experiences": 3, "fraction": 0.2, "order": 1}
DOMAIN = {"name": "permuted-digits", "n_experiences": 3, "fraction": 0.2}


def config(strategy="replay", benchmark=CLASS, **run_options):
    return ExperimentConfig.from_dict(
        {
            "benchmark": benchmark,
            "strategy": {"name": strategy},
            "model": {"hidden": [16]},
            "run": run_options,
        }
    )


RUNS = [
    *(config(strategy) for strategy in ("replay", "naive", "single-task", "joint")),
    *(config(strategy, DOMAIN) for strategy in ("si", "joint")),
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("finished")
    for made in RUNS:
        run(made, out)
    return out


@pytest.fixture
def out(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "out")
    return tmp_path / "out"


def metrics_of(out, made, names=("all",)):
    found = {run.directory: run for run in add_metrics(out, names)}
    return found[made.slug].metrics


def value(metrics, key):
    assert metrics[key].undefined_reason is None, metrics[key]
    return metrics[key].value


def samples(out, made):
    directory = RunDirectory(out, made)
    return read_predictions(out, directory.path, directory.record()).samples(2)


def test_metrics_of_predictions_against_other_libraries(out):
    found, last = metrics_of(out, RUNS[0]), samples(out, RUNS[0])
    y, p, c = last.label, last.prediction, last.confidence
    assert value(found, "final_accuracy_pooled") == np.mean(y == p)
    assert value(found, "mean_class_accuracy") == pytest.approx(balanced_accuracy_score(y, p))
    counts = confusion_matrix(y, p, labels=range(10))
    assert value(found, "class_accuracy")[:6] == pytest.approx(
        np.nan_to_num(np.diag(counts) / counts.sum(1))[:6]
    )
    record = RunDirectory(out, RUNS[0]).record()
    info = {int(k): int(e) for e in range(3) for k in np.unique(y[last.experience == e])}
    task = np.array([info[label] for label in range(10)])
    table = confusion_matrix(task[y], task[p], labels=range(3))
    assert value(found, "task_confusion_matrix") == table.tolist()
    assert value(found, "inter_task_error") == pytest.approx(1 - np.trace(table) / len(y))
    assert value(found, "within_task_error") == pytest.approx(
        np.mean((y != p) & (task[y] == task[p]))
    )
    assert value(found, "recency_bias") == pytest.approx(
        np.mean(task[p] == 2) - np.mean(task[y] == 2)
    )
    bins = np.clip(np.ceil(c * 15).astype(int) - 1, 0, 14)
    expected = sum(
        (bins == m).mean() * abs((y == p)[bins == m].mean() - c[bins == m].mean())
        for m in np.unique(bins)
    )
    assert value(found, "ece") == pytest.approx(expected, abs=1e-12)
    assert value(found, "overconfidence") == pytest.approx(c.mean() - np.mean(y == p), abs=1e-12)
    assert value(found, "experience_accuracy") == list(record.accuracy_matrix[2])


def test_shares_fit_together(out):
    found = metrics_of(out, RUNS[0])
    accuracy = value(found, "final_accuracy_pooled")
    parts = ("within_task_error", "inter_task_error")
    assert accuracy + sum(value(found, part) for part in parts) == pytest.approx(1)
    assert value(found, "task_aware_accuracy") >= accuracy
    assert value(found, "task_prediction") * value(found, "within_task_prediction") == (
        pytest.approx(accuracy)
    )


def test_metrics_of_the_matrix_are_those_of_the_result(out):
    found, record = metrics_of(out, RUNS[0]), RunDirectory(out, RUNS[0]).record()
    for key, name in (
        ("acc", "average_accuracy"),
        ("aia", "average_incremental_accuracy"),
        ("bwt", "backward_transfer"),
        ("forgetting_max_before_last", "forgetting"),
        ("forgetting_relative", "relative_forgetting"),
        ("learning_accuracy", "learning_accuracy"),
        ("accuracy_spread", "accuracy_spread"),
    ):
        assert value(found, key) == record.metrics[name]
    last = samples(out, RUNS[0])
    assert value(found, "acc_weighted") == pytest.approx(np.mean(last.label == last.prediction))


def test_comparisons_with_other_runs_of_the_folder(out):
    found = metrics_of(out, RUNS[0])
    own, alone, joint, plain = (
        RunDirectory(out, made).record() for made in (RUNS[0], RUNS[2], RUNS[3], RUNS[1])
    )
    gains = np.diag(own.matrix) - np.diag(alone.matrix)
    assert value(found, "fwt_isolated_all") == pytest.approx(gains.mean())
    assert value(found, "fwt_isolated_from_second") == pytest.approx(gains[1:].mean())
    assert value(found, "intransigence_last") == pytest.approx(
        joint.matrix[2, 2] - own.matrix[2, 2]
    )
    assert found["intransigence_mean"].value is None
    ratio = own.metrics["train_seconds"] / plain.metrics["train_seconds"]
    assert value(found, "relative_time") == pytest.approx(ratio)
    assert value(found, "time_normalized_accuracy") == pytest.approx(
        own.metrics["average_accuracy"] / ratio
    )


def test_a_reference_of_another_seed_order_or_network_is_none(out):
    for strategy in ("single-task", "joint"):
        shutil.rmtree(RunDirectory(out, config(strategy)).path)
        run(config(strategy, seed=1), out)
        run(config(strategy, {**CLASS, "order": 2}), out)
    found = metrics_of(out, RUNS[0])
    for key in ("fwt_isolated_all", "intransigence_last", "hat_ratio"):
        assert found[key].value is None and "in this folder with the same" in (
            found[key].undefined_reason or ""
        )


def test_forward_transfer_where_it_is_defined(out):
    found = metrics_of(out, RUNS[4])
    directory = RunDirectory(out, RUNS[4])
    stored = read_predictions(out, directory.path, directory.record())
    expected = np.mean([stored.accuracy[i - 1, i] - stored.initial[i] for i in (1, 2)])
    assert value(found, "fwt_next") == pytest.approx(expected)
    assert found["fwt_upper_raw"].value is None
    other = metrics_of(out, RUNS[0])["fwt_next"]
    assert other.value is None and "by construction" in (other.undefined_reason or "")
    assert "share their classes" in (found["recency_bias"].undefined_reason or "")


def test_forgetting_does_not_see_what_was_measured_ahead(out):
    found, record = metrics_of(out, RUNS[4]), RunDirectory(out, RUNS[4]).record()
    assert value(found, "forgetting_max_before_last") == record.metrics["forgetting"]


def test_every_key_has_a_value_or_a_reason(out):
    for made in RUNS:
        for key, metric in metrics_of(out, made).items():
            assert (metric.value is None) == bool(metric.undefined_reason), key
            assert metric.direction == definition(key).direction


def test_the_file_is_rebuilt_bit_for_bit_and_the_result_stays(out):
    results = {path: path.read_bytes() for path in out.glob("runs/*/result.json")}
    add_metrics(out, ["ece", "acc"])
    add_metrics(out, ["recency_bias"])
    before = {path: path.read_bytes() for path in out.glob("runs/*/metrics.json")}
    assert len(before) == len(RUNS)
    for path in before:
        path.unlink()
    add_metrics(out, ["recency_bias", "acc", "ece"])
    assert {path: path.read_bytes() for path in out.glob("runs/*/metrics.json")} == before
    assert {path: path.read_bytes() for path in results} == results


def test_the_report_shows_what_was_added(out):
    before = write_report(out)
    texts = before.csv.read_text(), before.markdown.read_text(), before.html.read_text()
    add_metrics(out, ["ece", "recency_bias", "class_accuracy", "learning_accuracy"])
    after = write_report(out)
    assert not after.problems
    rows = after.csv.read_text().splitlines()
    assert {*texts[0].splitlines()} < {*rows}
    ece = metrics_of(out, RUNS[0])["ece"].value
    assert f"split-digits,replay,ece,{ece!r},nan,1" in rows
    assert not any("class_accuracy" in row for row in rows)
    assert "ECE (%)" in after.markdown.read_text() and "ECE (%)" in after.html.read_text()
    assert sum("learning_accuracy" in row for row in rows) == texts[0].count("learning_accuracy")
    for path in out.glob("runs/*/metrics.json"):
        path.unlink()
    again = write_report(out)
    assert (again.csv.read_text(), again.markdown.read_text(), again.html.read_text()) == texts


@pytest.mark.parametrize(
    "change",
    [
        {"result": "0" * 64},
        {"schema": 2},
        {"metrics": {"ece": {"value": 1e200}}},
        {"metrics": {"../x": {}}},
        {"metrics": 3},
        {"more": 1},
        None,
    ],
)
def test_a_forged_or_old_file_is_said_and_not_used(out, change):
    add_metrics(out, ["ece"])
    path = RunDirectory(out, RUNS[0]).path / "metrics.json"
    data, _ = unsealed(json.loads(path.read_text()))
    path.write_text("{" if change is None else json.dumps(sealed({**data, **change})))
    found, _ = collected(out)
    assert [problem.file for problem in found.problems] == [f"runs/{RUNS[0].slug}/metrics.json"]
    with_ece = {run.directory for run in found.runs if "ece" in run.record.metrics}
    assert with_ece == {made.slug for made in RUNS[1:]}
    metrics_of(out, RUNS[0], ["ece"])
    found, _ = collected(out)
    assert not found.problems and all("ece" in run.record.metrics for run in found.runs)


def test_metrics_of_another_result_are_not_used(out):
    add_metrics(out, ["ece"])
    path = RunDirectory(out, RUNS[0]).result
    record = load_result(path)
    write_result(path, type(record).from_dict({**record.to_dict(), "memory": {"peak": [1, 2, 3]}}))
    assert len(write_report(out).problems) == 1


def test_damaged_predictions_leave_the_metrics_of_the_matrix(out):
    (RunDirectory(out, RUNS[0]).predictions / "row_002.npz").write_bytes(b"x")
    found = {run.directory: run for run in add_metrics(out, ["acc", "ece", "acc_weighted"])}
    damaged = found[RUNS[0].slug]
    assert "row_002.npz" in damaged.problem and str(out) not in damaged.problem
    assert damaged.metrics["acc"].value is not None
    for key in ("ece", "acc_weighted"):
        assert damaged.metrics[key].undefined_reason == damaged.problem


def test_unknown_names_are_refused():
    with pytest.raises(UserError, match="did you mean|metric"):
        checked(["eec"])
    with pytest.raises(UserError, match="while a run trains"):
        checked(["wc_acc"])
    assert checked(["all"]) == list(KEYS) and checked(["ece", "acc", "ece"]) == ["acc", "ece"]


def test_nothing_is_written_through_a_link(out, tmp_path):
    directory = RunDirectory(out, RUNS[0]).path
    shutil.move(directory, tmp_path / "elsewhere")
    directory.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="is a link"):
        add_metrics(out, ["acc"])
