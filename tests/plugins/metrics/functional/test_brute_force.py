"""A lower triangle alone, and windows of a trace, against loops over their definitions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from cl_strategies.plugins.metrics import functional as f


def test_a_lower_triangle_gives_all_that_does_not_look_ahead():
    a = np.tril(np.random.default_rng(0).uniform(size=(5, 5))) + np.triu(np.full((5, 5), np.nan), 1)
    found = f.matrix_metrics(a)
    assert found["acc"] == pytest.approx(np.mean([a[4, i] for i in range(5)]))
    assert found["aia"] == pytest.approx(np.mean([np.mean(a[t, : t + 1]) for t in range(5)]))
    assert found["bwt"] == pytest.approx(np.mean([a[4, i] - a[i, i] for i in range(4)]))
    drops = [max(a[t, i] for t in range(i, 4)) - a[4, i] for i in range(4)]
    assert found["forgetting_max_before_last"] == pytest.approx(np.mean(drops))
    assert found["forgetting_max_from_own"] == pytest.approx(np.mean(drops))
    assert all(np.isnan(found[key]) for key in ("fwt_next", "fwt_upper_raw"))


@pytest.mark.parametrize("window", [1, 2, 4, 20])
def test_windows_hold_every_pair_of_points_within_them(window):
    trace = np.random.default_rng(1).uniform(size=(9, 3))
    trace[:3, 1] = trace[:6, 2] = np.nan
    drops, gains = [], []
    for column in trace.T:
        series = column[~np.isnan(column)]
        steps = [
            series[m] - series[n]
            for m, n in itertools.combinations(range(len(series)), 2)
            if n - m < window
        ]
        drops.append(max([0.0, *steps]))
        gains.append(max([0.0, *(-step for step in steps)]))
    assert f.windowed_forgetting(trace, window, [2, 5, 8]) == pytest.approx(np.mean(drops))
    assert f.windowed_plasticity(trace, window, [2, 5, 8]) == pytest.approx(np.mean(gains))
