"""What bytes buy: curves over budgets compared seed by seed."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
from scipy import integrate, stats

from cl_strategies.reports import write_report
from cl_strategies.reports.analysis.grouping import group_records
from cl_strategies.reports.analysis.labels import labels_of
from cl_strategies.reports.analysis.layout import layout_of
from cl_strategies.reports.comparison.rates import EQUAL, FLAT, rates

pytestmark = pytest.mark.usefixtures("undrawn")

BUDGETS = [2**k for k in range(12, 16)]


def raw(x: float, seed: int) -> float:
    """Accuracy with 2**x bytes."""
    return 0.05 * x - 0.3 + 0.01 * seed


def jpeg(x: float, seed: int) -> float:
    """As much as ``raw`` has with twice the bytes; a bit more with some seeds."""
    return raw(x + 1 + 0.1 * seed, seed)


def suite(make_record, curves, *, seeds=3, used=None, drop=()):
    return [
        dataclasses.replace(
            make_record(
                "cim",
                seed=seed,
                options={"codec": codec, "mem_bytes": budget, "host": host},
                metrics={"average_accuracy": curve(math.log2(budget), seed)},
            ),
            exemplars={} if used is None else memory(used(budget)),
        )
        for host in ("foster", "replay")
        for codec, curve in curves.items()
        for budget in BUDGETS
        for seed in range(seeds)
        if (codec, budget, seed) not in drop
    ]


def memory(used: float) -> dict:
    return {"count": [1] * 3, "bytes": [used] * 3, "raw_bytes": [1] * 3, "classes": [2] * 3}


def found(records):
    groups = group_records(records)
    groups = labels_of(groups).groups(groups)
    return rates(layout_of(groups, "synthetic-stream"), groups)


def test_a_curve_one_octave_to_the_left_takes_half_of_the_bytes(make_record) -> None:
    shifts = [-1.0, -1.1, -1.2]
    first, second = found(suite(make_record, {"raw": raw, "jpeg": jpeg}))
    assert (first.panel, second.panel) == ("CIM, FOSTER", "CIM, replay")
    assert (first.series, first.reference, first.n, first.dropped) == ("jpeg", "raw", 3, 0)
    assert first.mean_log2_byte_change.mean == pytest.approx(np.mean(shifts))
    expected = stats.t.interval(0.95, 2, np.mean(shifts), stats.sem(shifts))
    assert first.mean_log2_byte_change.interval == pytest.approx(expected)
    assert first.byte_ratio == pytest.approx(2**-1.1)
    assert first.byte_ratio_interval == pytest.approx([2**end for end in expected])
    assert first.mean_accuracy_gain.mean == pytest.approx(0.05 * 1.1)
    assert first.cells[0] == "raw" and first.cells[5] == "0.47" and first.note == ""
    assert first.sentence.startswith("CIM, FOSTER: jpeg reaches the accuracy of raw with 47 % of")


def test_distances_are_integrals_of_the_broken_lines(make_record) -> None:
    generator = np.random.default_rng(0)
    heights = {name: np.sort(generator.uniform(0.3, 0.8, (3, 4))) for name in ("raw", "webp")}
    curves = {
        name: lambda x, seed, table=table: float(table[seed, BUDGETS.index(round(2**x))])
        for name, table in heights.items()
    }
    rate = found(suite(make_record, curves))[0]
    x, changes, gains = np.log2(BUDGETS), [], []
    for base, own in zip(heights["raw"], heights["webp"], strict=True):
        low, high = max(base[0], own[0]), min(base[-1], own[-1])
        inside = [y for y in (*base, *own) if low < y < high]
        areas = [
            integrate.quad(lambda y, c=c: np.interp(y, c, x), low, high, points=inside)[0]
            for c in (own, base)
        ]
        changes.append((areas[0] - areas[1]) / (high - low))
        gains.append((integrate.trapezoid(own, x) - integrate.trapezoid(base, x)) / (x[-1] - x[0]))
    assert rate.mean_log2_byte_change.mean == pytest.approx(np.mean(changes), abs=1e-7)
    assert rate.mean_accuracy_gain.mean == pytest.approx(np.mean(gains))


def test_bytes_are_those_that_were_used_where_all_are_known(make_record) -> None:
    curves = {"raw": raw, "jpeg": lambda x, seed: raw(x, seed) + 0.05}
    rate = found(suite(make_record, curves, used=lambda budget: budget**0.5))[0]
    assert rate.measured and rate.mean_log2_byte_change.mean == pytest.approx(-0.5)
    rate = found(suite(make_record, curves))[0]
    assert not rate.measured and rate.mean_log2_byte_change.mean == pytest.approx(-1)


def test_what_is_not_defined_for_one_seed_has_no_mean_and_says_why(make_record) -> None:
    curves = {"raw": raw, "jpeg": lambda x, seed: 0.5 if seed == 1 else jpeg(x, seed)}
    rate = found(suite(make_record, curves))[0]
    assert rate.mean_log2_byte_change.mean is None and rate.byte_ratio is None
    assert rate.mean_accuracy_gain.mean is not None
    assert rate.note == f"{FLAT} in 1 of 3" and rate.cells[5] == "\u2013" and not rate.sentence
    full = found(suite(make_record, {"raw": raw, "jpeg": jpeg}, used=lambda b: min(b, 2**13)))[0]
    assert full.mean_accuracy_gain.mean is None and full.note == f"{EQUAL} in 3 of 3"


def test_a_seed_without_a_run_at_every_budget_is_left_out(make_record) -> None:
    runs = suite(make_record, {"raw": raw, "jpeg": jpeg}, drop=[("raw", BUDGETS[1], 2)])
    rate = found(runs)[0]
    assert (rate.n, rate.dropped) == (2, 1) and rate.note == "1 of 3 not at every budget"
    assert rate.mean_log2_byte_change.mean == pytest.approx(-1.05)
    one = found(suite(make_record, {"raw": raw, "jpeg": jpeg}, seeds=1))[0]
    assert one.byte_ratio == pytest.approx(0.5) and one.byte_ratio_interval is None


def test_budgets_of_no_bytes_and_fewer_are_no_points_of_a_curve(make_record) -> None:
    records = [
        make_record("cim", options={"codec": codec, "mem_bytes": budget})
        for codec in ("raw", "jpeg")
        for budget in (-1, 0, 1, 2)
    ]
    assert len(found(records)) == 1  # of the two that are left


def test_without_a_budget_there_are_no_rates(make_record) -> None:
    records = [
        make_record("cim", options={"codec": codec, "strength": s})
        for codec in ("raw", "jpeg")
        for s in range(4)
    ]
    assert found(records) == []


def test_the_report_has_the_table_in_all_its_forms(make_record, write_runs) -> None:
    paths = write_report(write_runs(suite(make_record, {"raw": raw, "jpeg": jpeg})))
    page, markdown = paths.html.read_text("utf-8"), paths.markdown.read_text("utf-8")
    assert "What bytes buy" in page and "47 % of the bytes" in page
    assert "| CIM, FOSTER | jpeg | raw | 5.5 |" in markdown
    assert "## Effects on the average accuracy" in markdown
    (section,) = json.loads(paths.json.read_text("utf-8"))["factors"]
    assert section["rates"][0]["byte_ratio"]["mean"] == pytest.approx(2**-1.1)
    names = [effect["factors"] for effect in section["effects"][0]["effects"]]
    assert ["codec"] in names and ["codec", "mem_bytes"] in names
