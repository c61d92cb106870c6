"""The t interval: beside SciPy, and how often it covers the mean."""

import numpy as np
import pytest
from scipy import stats

from cl_strategies.errors import UserError
from cl_strategies.statistics import interval_over_streams, t_interval


def test_it_is_scipys():
    d = np.random.default_rng(0).normal(0.02, 0.01, 6)
    expected = stats.ttest_1samp(d, 0).confidence_interval(0.95)
    assert t_interval(d) == pytest.approx((expected.low, expected.high), abs=1e-14)


def test_multipliers():
    for n, multiplier in {3: 4.30, 5: 2.78, 10: 2.26}.items():
        d = np.random.default_rng(n).normal(size=n)
        low, high = t_interval(d)
        assert (high - low) / 2 / stats.sem(d) == pytest.approx(multiplier, abs=0.005)


@pytest.mark.parametrize("n", [3, 5, 10])
def test_it_covers_the_mean_in_95_of_100_simulations(n):
    d = np.random.default_rng(5).normal(1.0, 2.0, (20_000, n))
    low, high = t_interval(d)
    assert 0.93 <= ((low <= 1) & (high >= 1)).mean() <= 0.97


def test_levels_nest_and_equal_values_leave_no_width():
    d = [0.01, 0.02, 0.04]
    (low, high), (lower, higher) = t_interval(d, 0.9), t_interval(d, 0.99)
    assert lower < low < np.mean(d) < high < higher
    assert t_interval([0.3, 0.3, 0.3]) == (0.3, 0.3)
    assert np.isnan(t_interval([0.3])).all()


def test_over_fixed_streams_it_is_welchs():
    a, b = np.array([0.03, 0.01, 0.02]), np.array([0.00, 0.04, 0.02, 0.05])
    result = interval_over_streams([a, -b])
    welch = stats.ttest_ind(a, b, equal_var=False)
    ends = welch.confidence_interval(0.95)
    assert result.df == pytest.approx(welch.df)
    assert np.array(result.interval) * 2 == pytest.approx([ends.low, ends.high], abs=1e-12)


def test_over_streams_of_their_kind_a_stream_counts_once():
    lists = [[0.01, 0.03], [0.05], [0.00, 0.01, 0.02]]
    result = interval_over_streams(lists, streams="random")
    assert result.interval == pytest.approx(np.array(t_interval([0.02, 0.05, 0.01])))
    assert result.df == 2
    fixed = interval_over_streams(lists)
    assert np.isnan(fixed.interval).all() and "single pair" in fixed.reason
    one = interval_over_streams([[0.1, 0.2]], streams="random")
    assert np.isnan(one.interval).all() and "one stream" in one.reason


def test_bad_input():
    for level in (0, 1, -0.5, "0.95"):
        with pytest.raises(UserError, match="level"):
            t_interval([1.0, 2.0], level)
    with pytest.raises(UserError, match="finite"):
        t_interval([1.0, np.nan])
    with pytest.raises(UserError, match="fixed"):
        interval_over_streams([[1.0]], streams="some")
    with pytest.raises(UserError, match="no streams"):
        interval_over_streams([])
