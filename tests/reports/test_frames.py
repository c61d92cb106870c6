"""A report as data frames and figures: every number is that of the records."""

import csv
import sys
from dataclasses import replace

import numpy as np
import pytest

from cl_strategies import UserError
from cl_strategies.plugins.metrics.functional import average_accuracy
from cl_strategies.reports import load, write_report
from cl_strategies.reports.frames.tables import EXEMPLARS, TRACE

pd = pytest.importorskip("pandas")


@pytest.fixture
def records(make_record):
    """Three seeds of two strategies and a bound, one of them failed, one with a memory."""
    held = {name: [1.0, 2.0, 3.0] for name in ("count", "bytes", "raw_bytes", "classes")}
    good = [
        make_record("a", seed=seed, keep=0.9 - 0.01 * seed, order=(2, 0, 1)) for seed in (0, 1, 2)
    ]
    poor = [make_record("b", seed=seed, keep=0.5 + 0.01 * seed, order=(2, 0, 1)) for seed in (0, 1)]
    poor = [replace(record, exemplars=held) for record in poor]
    return [*good, *poor, make_record("b", seed=2, failed=True), make_record("joint")]


@pytest.fixture
def report(records, write_runs):
    return load(write_runs(records))


def test_the_summary_is_that_of_the_file(report, records, write_runs, tmp_path):
    write_report(tmp_path)
    lines = list(csv.DictReader((tmp_path / "summary.csv").open()))
    assert len(report.summary) == len(lines)
    for line, row in zip(lines, report.summary.itertuples(), strict=True):
        assert (row.benchmark, row.strategy, row.metric) == tuple(line.values())[:3]
        assert row.mean == float(line["mean"]) and row.n == int(line["n"])


def test_the_wide_table_has_the_same_numbers(records, write_runs):
    folder = write_runs(records)
    paths = write_report(folder)
    wide = pd.read_csv(paths.wide).set_index(["benchmark", "strategy"])
    long = pd.read_csv(paths.csv)
    assert len(wide) == 3 and wide.loc[("synthetic-stream", "b"), "failed"] == 1
    for row in long.itertuples():
        cells = wide.loc[(row.benchmark, row.strategy)]
        assert cells[row.metric] == row.mean and cells[f"{row.metric}_n"] == row.n
        assert np.array_equal(cells[f"{row.metric}_std"], row.std, equal_nan=True)
    counted = sum(int((wide[name] > 0).sum()) for name in wide if name.endswith("_n"))
    assert counted == len(long)


def test_runs_have_their_metrics_and_how_they_ended(report, records):
    frame = report.runs
    assert len(frame) == len(records) and (frame.status == "failed").sum() == 1
    failed = frame[frame.status == "failed"].iloc[0]
    assert failed.error == "the loss is nan" and np.isnan(failed.average_accuracy)
    first = frame[(frame.strategy == "a") & (frame.seed == 1)].iloc[0]
    assert first.average_accuracy == records[1].metric("average_accuracy")
    assert first.order == (2, 0, 1)


def test_the_long_matrix_is_the_matrix(report, records):
    here = report.matrix[(report.matrix.strategy == "a") & (report.matrix.seed == 2)]
    table = here.pivot(index="after", columns="position", values="accuracy").to_numpy()
    assert np.array_equal(table, records[2].matrix, equal_nan=True)
    assert here[here.position == 0].task.unique().tolist() == [2]


def test_curves_are_means_of_what_was_seen(report, records):
    here = report.curves[(report.curves.strategy == "b") & (report.curves.seed == 1)]
    matrix = records[4].matrix
    assert here.accuracy_seen.tolist() == [
        average_accuracy(matrix[: t + 1, : t + 1]) for t in range(3)
    ]
    assert (
        here.train_seconds.tolist() == [1.5] * 3 and here.peak_memory_bytes.tolist() == [2**20] * 3
    )


def test_memories_and_pairs(report):
    assert report.exemplars["count"].tolist() == [1, 2, 3] * 2
    assert report.exemplars.box_area.isna().all()
    (pair,) = report.pairs.itertuples()
    assert (pair.a, pair.b, pair.n) == ("a", "b", 2) and pair.mean > 0 and pair.low < pair.high


def test_a_frame_without_rows_has_its_columns(make_record, write_runs):
    report = load(write_runs([make_record("a")]))
    assert list(report.exemplars.columns) == list(EXEMPLARS)
    assert list(report.trace.columns) == list(TRACE) and report.trace.empty


def test_figures_are_matplotlib_s_and_a_notebook_shows_them(report):
    from matplotlib.figure import Figure

    figures = [report.plot.accuracy(), report.plot.matrix("a"), report.plot.pairs()]
    figures += [report.plot.forgetting("synthetic-stream"), report.plot.memory()]
    figures += [report.plot.cost(), report.plot.spread()]
    assert all(isinstance(figure, Figure) and figure.axes for figure in figures)
    assert all(figure._repr_png_().startswith(b"\x89PNG") for figure in figures[:4])
    shown = report._repr_html_()
    assert shown.count("<svg") == 1 and shown.count("<table>") == 1 and ">joint<" in shown
    assert "avg acc" in repr(report)


def test_labels_in_a_notebook_obey_nothing(make_record, write_runs):
    shown = load(write_runs([make_record("<b>x</b>")]))._repr_html_()
    assert "<b>" not in shown


def test_what_is_not_there_is_said(report, make_record, write_runs, tmp_path):
    with pytest.raises(UserError, match="unknown benchmark of the report 'synthetic'"):
        report.plot.accuracy("synthetic")
    with pytest.raises(UserError, match="unknown strategy of the report 'c'"):
        report.plot.matrix("c")
    with pytest.raises(UserError, match="no runs found"):
        load(tmp_path / "nowhere")


def test_with_several_benchmarks_one_is_named(make_record, write_runs):
    report = load(write_runs([make_record("a"), make_record("a", benchmark="other", failed=True)]))
    with pytest.raises(UserError, match="name one of other, synthetic-stream"):
        report.plot.accuracy()
    with pytest.raises(UserError, match="there is nothing to draw"):
        report.plot.pairs("other")
    with pytest.raises(UserError, match="there is nothing to draw"):
        report.plot.accuracy("other")


def test_without_pandas_it_is_said_how_to_get_it(report, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UserError, match=r"pip install 'cl-strategies\[pandas\]'"):
        report.runs  # noqa: B018
    assert report.plot.accuracy().axes
