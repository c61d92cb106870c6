"""The record of a trace: its numbers against worked examples, its file, its state."""

import json
import math

import numpy as np
import pytest

from cl_strategies.errors import UserError
from cl_strategies.io.arrays import packed
from cl_strategies.plugins.continual_evaluation.summary import trace_metrics
from cl_strategies.plugins.continual_evaluation.trace import Trace, read_state
from cl_strategies.plugins.continual_evaluation.trace_file import read_trace, write_trace

# The worked example of three experiences with three points each, in twentieths; a point before the
# first update of each stands beside it.
COUNTS = [[10], [16], [18], [8, 6], [12, 14], [14, 16], [10, 4, 8], [12, 12, 14], [13, 14, 18]]
FIRST = [[4], [-1, 5], [-1, -1, 6]]


def made(steps=(1, 2, 3)):
    trace = Trace(order=[0, 1, 2], subsets=[list(range(20))] * 3, schedules=[[3, 1]] * 3)
    for k in range(3):
        done = k * steps[-1]
        trace.where.append([k, 0, 0, done, 8 * done])
        trace.correct.append(FIRST[k])
        for j, step in enumerate(steps):
            trace.where.append([k, 0, step, done + step, 8 * (done + step)])
            trace.correct.append(COUNTS[3 * k + j])
    return trace


def test_points_before_an_update_count_for_learning_curves_alone():
    trace = made()
    assert trace.points.shape == (9, 3)
    assert trace.last_points == [2, 5, 8]
    assert trace.points[3].tolist() == pytest.approx([0.4, 0.3, math.nan], nan_ok=True)
    assert [curve.tolist() for curve in trace.curves] == [
        [0.2, 0.5, 0.8, 0.9],
        [0.25, 0.3, 0.7, 0.8],
        [0.3, 0.4, 0.7, 0.9],
    ]


def test_metrics_of_the_worked_example():
    found = trace_metrics(made(), window=2, beta=3)
    assert found["min_acc"] == pytest.approx(0.3)
    assert found["wc_acc"] == pytest.approx(0.5)
    assert found["wf_2_iterations"] == pytest.approx((0.5 + 0.6 + 0) / 3)
    assert found["wp_2_iterations"] == pytest.approx((0.3 + 0.4 + 0.3) / 3)
    assert found["average_anytime_accuracy"] == pytest.approx(5.7 / 9)
    assert found["average_anytime_accuracy_by_iteration"] == pytest.approx(5.7 / 9)
    drops, permanent = [0.5, 0.2, 0.6], [0.2, 0.05, 0.1]
    transient = [0.3, 0.15, 0.5]
    assert found["stability_gap_mean_drop"] == pytest.approx(np.mean(drops))
    assert found["stability_gap_mean_permanent"] == pytest.approx(np.mean(permanent))
    assert found["stability_gap_mean_transient"] == pytest.approx(np.mean(transient))
    assert found["stability_gap_worst_transient"] == pytest.approx(0.5)
    assert found["stability_gap_mean_recovery_iterations"] == 3
    z = [(0.2 + 0.25 + 0.3) / 3, 0.4, 2.2 / 3, 2.6 / 3]
    assert found["lca_3"] == pytest.approx(np.mean(z))
    assert found["lca_3_without_zero_shot"] == pytest.approx(np.mean(z[1:]))


def test_windows_and_means_follow_iterations_not_points():
    trace = made(steps=(1, 2, 12))
    found = trace_metrics(trace, window=3, beta=3)
    assert found["wf_3_iterations"] == pytest.approx((0.5 + 0.6 + 0) / 3)
    assert found["wp_3_iterations"] == pytest.approx((0.3 + 0.4 + 0.3) / 3)  # not .2 over 10
    seen = [np.mean(row) / 20 for row in COUNTS]
    assert found["average_anytime_accuracy_by_iteration"] == pytest.approx(
        np.average(seen, weights=[1, 1, 10] * 3)
    )
    assert math.isnan(found["lca_3"])  # not every iteration was evaluated
    assert found["stability_gap_mean_recovery_iterations"] == 12


def test_a_zero_shot_accuracy_that_means_nothing_does_not_count():
    trace = made()
    trace.zero_shot = False
    found = trace_metrics(trace, window=2, beta=3)
    assert math.isnan(found["lca_3"]) and not math.isnan(found["lca_3_without_zero_shot"])


def test_one_experience_has_no_old_one():
    trace = made()
    short = Trace([0], trace.subsets[:1], trace.where[:4], trace.correct[:4], [[3, 1]])
    found = trace_metrics(short, window=2, beta=3)
    assert math.isnan(found["min_acc"]) and found["wc_acc"] == 0.9
    assert math.isnan(found["stability_gap_mean_transient"])


def test_an_empty_trace_has_no_numbers():
    found = trace_metrics(Trace(), window=2, beta=3)
    assert found.keys() == trace_metrics(made(), window=2, beta=3).keys()
    assert all(math.isnan(value) for value in found.values())


def test_the_file_holds_all_of_it_and_is_the_same_bytes(tmp_path):
    trace = made()
    write_trace(tmp_path / "a.npz", trace)
    write_trace(tmp_path / "b.npz", read_trace(tmp_path / "a.npz"))
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    again = read_trace(tmp_path / "b.npz")
    assert again.table().tolist() == trace.table().tolist()
    assert (again.where, again.subsets) == (trace.where, trace.subsets)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as plain:
        assert plain["iteration"].tolist() == [0, 1, 2, 3] * 3


def forged(**changes):
    trace = made()
    content = {name: trace.column(name) for name in ("experience", "epoch", "iteration", "step")}
    content |= {"samples": trace.column("samples"), "correct": trace.table().ravel()}
    content |= {"order": np.arange(3), "totals": np.full(3, 20), "subsets": np.tile(range(20), 3)}
    content |= {"dense": np.full(3, 3), "every": np.ones(3), "zero_shot": np.ones(1)}
    content = {name: np.asarray(values, dtype=np.int64) for name, values in content.items()}
    return packed({name: v for name, v in (content | changes).items() if v is not None})


@pytest.mark.parametrize(
    "changes",
    [
        {"step": None},
        {"extra": np.zeros(3)},
        {"totals": np.array([20, 20, 2**40])},
        {"totals": np.array([20, 20, 0])},
        {"totals": np.array([2, 20, 38])},  # fewer than are right
        {"step": np.zeros(3, dtype=np.int64)},
        {"step": np.arange(12)[::-1].astype(np.int64)},
        {"experience": np.full(12, 7)},
        {"correct": np.zeros(36)},
        {"order": np.zeros(0, dtype=np.int64)},
    ],
)
def test_a_forged_file_is_refused(tmp_path, changes):
    path = tmp_path / "trace.npz"
    path.write_bytes(forged())
    read_trace(path)
    path.write_bytes(forged(**changes))
    with pytest.raises(ValueError):
        read_trace(path)


def test_a_damaged_file_is_refused(tmp_path):
    write_trace(tmp_path / "trace.npz", made())
    content = (tmp_path / "trace.npz").read_bytes()
    for damaged in (b"", content[:-30], content[:200] + b"x" + content[201:], b"PK no"):
        (tmp_path / "trace.npz").write_bytes(damaged)
        with pytest.raises(ValueError):
            read_trace(tmp_path / "trace.npz")


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"trace": {}}', '{"trace": {"order": [0]}, "options": {}}', "1"]
)
def test_what_is_no_state_is_refused(text):
    with pytest.raises(UserError, match="not the state of a continual evaluation"):
        read_state({"trace": text}, {})


def test_a_state_of_other_options_is_refused():
    content = {"trace": vars(Trace()), "options": {"cost": 0.1}, "course": {}, "classes": []}
    text = json.dumps(content)
    assert read_state({"trace": text}, {"cost": 0.1})["trace"] == Trace()
    with pytest.raises(UserError, match="give it the same options"):
        read_state({"trace": text}, {"cost": 0.2})
