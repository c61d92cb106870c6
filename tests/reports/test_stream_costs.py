from __future__ import annotations

from dataclasses import replace

import numpy as np

from cl_strategies.reports.analysis.grouping import group_records
from cl_strategies.reports.analysis.stream_costs import (
    growth_curves,
    peak_curves,
    time_ratio_curves,
)
from cl_strategies.reports.plots.figures_stream import stream_figures
from cl_strategies.reports.plots.palette import assign_styles


def costing(record, *, train=(2.0, 3.0, 4.0), model=(100, 110, 120), state=(0, 10, 30), peak=()):
    return replace(
        record,
        seconds={"train": train, "evaluation": [0.1] * 3},
        bytes={"parameters": model, "method_state": state},
        memory={"peak": peak},
    )


def test_growth_counts_model_and_state_against_the_model_after_the_first_task(make_record) -> None:
    groups = group_records([costing(make_record())])
    np.testing.assert_allclose(growth_curves(groups)["synthetic-a"], [1.0, 1.2, 1.5])


def test_times_add_up_and_are_compared_with_the_first_task_of_single_task(make_record) -> None:
    ours = costing(make_record())
    alone = [
        costing(make_record("single-task", seed=seed), train=(s, 1.0, 1.0))
        for seed, s in enumerate((1.0, 3.0))
    ]
    curves, relative = time_ratio_curves(group_records([ours, *alone]))
    assert relative
    np.testing.assert_allclose(curves["synthetic-a"], [1.0, 2.5, 4.5])
    np.testing.assert_allclose(curves["single-task"], [1.0, 1.5, 2.0])
    curves, relative = time_ratio_curves(group_records([ours]))
    assert not relative
    np.testing.assert_allclose(curves["synthetic-a"], [1.0, 2.5, 4.5])


def test_what_was_not_measured_after_every_task_is_left_out(make_record, joint_matrix) -> None:
    joint = costing(make_record("joint", matrix=joint_matrix), train=[9.0], model=[1], state=[0])
    groups = group_records([joint, costing(make_record(), peak=[1, None, 3])])
    assert set(growth_curves(groups)) == set(time_ratio_curves(groups)[0]) == {"synthetic-a"}
    assert peak_curves(groups) == {}
    groups = group_records([costing(make_record(), peak=[1, 2, 3])])
    np.testing.assert_allclose(peak_curves(groups)["synthetic-a"], [1, 2, 3])


def test_a_model_without_its_method_is_left_out(make_record) -> None:
    record = replace(make_record(), bytes={"parameters": [], "method_state": [1, 2, 3]})
    assert growth_curves(group_records([record])) == {}


def test_figures_say_what_they_show(make_record) -> None:
    groups = group_records([costing(make_record(), peak=[2**20] * 3)])
    figures = stream_figures(groups, assign_styles({"synthetic-a": "synthetic-a"}))
    growth, ratio, peak = figures["synthetic-stream"]
    assert "synthetic-a 1.50 times" in growth.alt
    assert "synthetic-a 4.50 times" in ratio.alt
    assert "MiB" in peak.svg
    assert all(figure.svg.startswith("<svg") for figure in (growth, ratio, peak))
