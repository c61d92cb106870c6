"""The section "During training": its table, its curves, and what is wrong with a trace."""

from __future__ import annotations

import re

import numpy as np
import pytest

from cl_strategies.plugins.continual_evaluation.summary import trace_metrics
from cl_strategies.plugins.continual_evaluation.trace import Trace
from cl_strategies.plugins.continual_evaluation.trace_file import write_trace
from cl_strategies.reports import write_report
from cl_strategies.reports.analysis.curves.iterations import mean_curves
from cl_strategies.results.during_training import training_metric, training_metrics
from cl_strategies.results.metrics import describe


def trace(dip, tasks=3, steps=(1, 2, 4)):
    """Old tasks fall to ``dip`` of 20 at the second point of each new one."""
    made = Trace(list(range(tasks)), [list(range(20))] * tasks, schedules=[[2, 2]] * tasks)
    for k in range(tasks):
        for j, step in enumerate(steps):
            made.where.append([k, 0, step, k * steps[-1] + step, 0])
            made.correct.append([dip if j == 1 else 18] * k + [6 + 6 * j])
    return made


@pytest.fixture
def traced(make_record, write_runs):
    """Two strategies with two runs each, and one without a trace."""
    found = {("synthetic-a", 0): 4, ("synthetic-a", 1): 8, ("synthetic-b", 0): 12}
    records, traces = [], []
    for (name, seed), dip in found.items():
        metrics = trace_metrics(trace(dip), window=2, beta=3) | {"trace_cost": 0.1}
        metrics = {key: None if np.isnan(value) else value for key, value in metrics.items()}
        records.append(make_record(name, seed=seed, metrics=metrics))
        traces.append(trace(dip))
    out = write_runs([*records, make_record("synthetic-c")])
    for k, made in enumerate(traces):
        write_trace(out / "runs" / f"run-{k:03d}" / "trace.npz", made)
    return out


ONLINE = {
    "online_accuracy",
    "online_blind_accuracy",
    "near_future_accuracy",
    "near_future_blind_accuracy",
    "near_future_delay",
    "online_seconds",
}


def test_every_metric_of_a_trace_is_described():
    names = [*trace_metrics(trace(4), window=70, beta=12), "trace_cost", "trace_seconds"]
    assert len(names) == len([name for name in training_metrics() if name not in ONLINE])
    for name in names:
        found = describe(name)
        assert found == training_metric(name)
        assert "report has no description" not in found.meaning
        assert not re.search(r"\bN\b", found.title + found.meaning)
    assert describe("wf_70_iterations").title == "Windowed forgetting, 70 iterations"
    assert training_metric("accuracy") is None and training_metric("wf_x_iterations") is None


def test_curves_are_the_mean_over_runs_and_run_over_tasks():
    curve = mean_curves([trace(4), trace(8)])
    assert curve.progress.tolist() == [0.25, 0.5, 1, 1.25, 1.5, 2, 2.25, 2.5, 3]
    assert curve.accuracies[4, 0] == pytest.approx((4 + 8) / 2 / 20)
    assert np.isnan(curve.accuracies[0, 1])
    other = mean_curves([trace(4), trace(8, steps=(1, 3, 4))])  # other points: the first alone
    assert other.accuracies[4, 0] == pytest.approx(4 / 20)
    assert mean_curves([Trace()]) is None


def test_the_page_has_the_section_with_curves_and_numbers(traced):
    paths = write_report(traced)
    page, text = paths.html.read_text(), paths.markdown.read_text()
    section = page[page.index('<section id="during"') :]
    section = section[: section.index("</section>")]
    assert "Worst-case accuracy" in section and "Transient part" in section
    assert "synthetic-c" not in section
    alt = re.search(r'(Line charts of the accuracy[^<"]*)', section)[1]
    assert "on 2 old tasks" in alt and "synthetic-a lowest 30.0" in alt.replace("\xa0", " ")
    assert "task 2 (%)" in section and "task 3 (%)" not in section
    assert "## During training on synthetic-stream" in text
    again = write_report(traced)
    assert again.html.read_text() == page


def test_a_report_without_a_trace_has_no_such_section(make_record, write_runs):
    paths = write_report(write_runs([make_record()]))
    assert 'id="during"' not in paths.html.read_text()
    assert "During training" not in paths.markdown.read_text()


def test_a_damaged_trace_is_named_and_the_run_still_counts(traced):
    for k, content in enumerate((b"", b"PK", b"x" * 100)):
        (traced / "runs" / f"run-{k:03d}" / "trace.npz").write_bytes(content)
    paths = write_report(traced)
    assert [p.file for p in paths.problems] == [f"runs/run-00{k}/trace.npz" for k in range(3)]
    section = paths.html.read_text()
    assert 'id="during"' in section  # the numbers are in the results


def test_many_strategies_are_fewer_curves(make_record, write_runs):
    records = []
    for k in range(9):
        metrics = {"wc_acc": 0.1 * k, "trace_cost": 0.1}
        records.append(make_record(f"synthetic-{k}", metrics=metrics))
    out = write_runs(records)
    for k in range(9):
        write_trace(out / "runs" / f"run-{k:03d}" / "trace.npz", trace(4, tasks=8))
    page = write_report(out).html.read_text()
    assert "3 strategies with a lower worst-case accuracy are left out" in page
    assert "the first 5 of 7 old tasks" in page
