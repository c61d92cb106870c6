"""Metrics of a user's own: by name, in a suite, as functions; how they are shown."""

import csv
import math

import numpy as np
import pytest

from cl_strategies import UserError
from cl_strategies.cli import main
from cl_strategies.reports import add_metrics, collect, own_metric
from cl_strategies.reports.derived import own_metrics
from cl_strategies.results.derived import read_derived
from cl_strategies.results.metrics import OWN

MODULE = '''
from cl_strategies.reports import own_metric

@own_metric(unit="fraction", direction="higher")
def worst_experience(run):
    """Accuracy on the worst experience at the end."""
    return run.matrix[-1].min()
'''
RUN = """
[suite]
seeds = [0, 1]
metrics = ["my_metrics:worst_experience", "bwt"]
[model]
hidden = [4]
[[benchmarks]]
name = "split-digits"
fraction = 0.2
n_experiences = 2
[[strategies]]
name = "naive"
[[strategies]]
name = "l2"
"""


@pytest.fixture
def results(own_folder):
    """A comparison with a metric of its own."""
    (own_folder / "my_metrics.py").write_text(MODULE)
    (own_folder / "suite.toml").write_text(RUN)
    assert main(["compare", "suite.toml", "--executor", "serial", "--out", "results"]) == 0
    yield own_folder / "results"
    OWN.clear()


def value_of(folder, key):
    run = next(run for run in collect(folder).runs)
    return run, read_derived(folder / "runs" / run.directory, run.record).metrics[key]


def test_a_suite_adds_it_and_reports_show_it(results, capsys):
    run, metric = value_of(results, "worst_experience")
    assert metric.value == np.nanmin(run.record.matrix[-1]) and metric.n == 2
    rows = list(csv.DictReader((results / "summary.csv").open()))
    (row,) = [r for r in rows if (r["metric"], r["strategy"]) == ("worst_experience", "l2")]
    assert row["n"] == "2"
    page = (results / "report.md").read_text()
    assert "Worst experience" in page and "Accuracy on the worst experience at the end." in page
    assert OWN["worst_experience"].higher_is_better
    # What is there stays when others are added, and can be made again by a function.
    assert main(["metrics", "results", "--add", "acc"]) == 0
    assert "worst_experience" in capsys.readouterr().out

    @own_metric(direction="lower")
    def worst_experience(run):
        return math.nan

    add_metrics(results, [worst_experience])
    _, metric = value_of(results, "worst_experience")
    assert (metric.value, metric.direction) == (None, "lower")
    assert metric.undefined_reason == "worst_experience returned nan"
    assert value_of(results, "acc")[1].meaning == ""

    def raises(run):
        raise SystemExit(3)

    def text(run):
        return "0.5"

    def far(run):
        return 1e300

    for function, message in (
        (raises, "the metric raises failed .*SystemExit"),
        (text, "the metric text returned '0.5'"),
        (far, "the metric far returned 1e[+]300"),
    ):
        with pytest.raises(UserError, match=message):
            add_metrics(results, [function])


def test_a_suite_with_an_unknown_metric_does_not_begin(own_folder, capsys):
    (own_folder / "suite.toml").write_text(RUN.replace("my_metrics:", "no_metrics:"))
    assert main(["compare", "suite.toml", "--executor", "serial", "--out", "results"]) == 2
    assert "no module 'no_metrics'" in capsys.readouterr().err
    assert not (own_folder / "results").exists()


def acc(run):
    return 1


def Capital(run):
    return 1


@pytest.mark.parametrize(
    ("thing", "message"),
    [
        (acc, "the metric acc is there already"),
        (Capital, "'Capital' is no name of a metric"),
        (5, "the metric is 5: give a function"),
        (lambda run: 1, "'<lambda>' is no name of a metric"),
        (dict, "give a function of a run"),
    ],
)
def test_what_is_no_metric_is_refused(thing, message):
    with pytest.raises(UserError, match=message):
        own_metrics.find_metric(thing)


def test_an_entry_point_names_one(own_folder, monkeypatch):
    from importlib.metadata import EntryPoint

    (own_folder / "my_metrics.py").write_text(MODULE)
    point = EntryPoint(name="worst", value="my_metrics:worst_experience", group=own_metrics.GROUP)
    monkeypatch.setattr(own_metrics, "entry_points", lambda group: [point])
    found = own_metrics.find_metric("worst")
    assert (found.key, found.unit) == ("worst", "fraction")
    assert own_metrics.find_metric("nothing") is None


@pytest.mark.parametrize("options", [{"unit": "percent"}, {"direction": "up"}])
def test_how_it_is_shown_is_checked(options):
    with pytest.raises(UserError, match=r"give one of"):
        own_metric(**options)
