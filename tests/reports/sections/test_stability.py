"""The figure of stability and plasticity."""

from __future__ import annotations

import math

import pytest

from cl_strategies.reports.analysis.grouping import group_records
from cl_strategies.reports.plots.palette import assign_styles
from cl_strategies.reports.plots.stability import points_of, stability_figures


def records(make_record):
    low = [[0.9, None], [0.5, 0.7]]
    high = [[0.9, None], [0.7, 0.9]]
    joint = [[None, None], [0.9, 0.9]]
    return [
        make_record("synthetic-a", matrix=low, seed=0),
        make_record("synthetic-a", matrix=high, seed=1),
        make_record("synthetic-b", matrix=low, seed=0),
        make_record("joint", matrix=joint, seed=0),
    ]


def test_points_are_what_was_learned_and_kept(make_record):
    first, second = points_of(group_records(records(make_record)))
    assert first.strategy == "synthetic-a"
    assert first.plasticity == pytest.approx((0.85, math.sqrt(0.005)))
    assert first.stability == pytest.approx((0.6, math.sqrt(0.02)))
    assert second.plasticity[0] == pytest.approx(0.8) and math.isnan(second.plasticity[1])


def test_a_figure_says_the_same_in_words(make_record):
    groups = group_records(records(make_record))
    styles = assign_styles({group.strategy: group.strategy for group in groups})
    (figure,) = stability_figures(groups, styles)
    assert "synthetic-a learned 85.0 % and kept 60.0 %" in figure.alt
    assert "joint" not in figure.alt and figure.svg.startswith("<svg")


def test_one_task_has_no_figure(make_record):
    groups = group_records([make_record(matrix=[[0.9]])])
    assert stability_figures(groups, {}) == []
