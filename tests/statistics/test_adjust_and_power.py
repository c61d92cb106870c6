"""Holm beside a closed test, and numbers of seeds beside simulated power."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from cl_strategies.errors import UserError
from cl_strategies.statistics import (
    holm,
    least_pairs,
    noether_seeds,
    required_seeds,
    sd_upper_limit,
    seeds_needed,
    t_power,
)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_is_the_closed_test_of_bonferroni(p):
    rows = range(len(p))
    closed = [
        max(
            min(1.0, len(subset) * min(p[row] for row in subset))
            for size in range(1, len(p) + 1)
            for subset in combinations(rows, size)
            if row_of in subset
        )
        for row_of in rows
    ]
    assert holm(p).adjusted == pytest.approx(closed, abs=1e-12)


def test_holm_leaves_out_comparisons_without_a_p():
    result = holm([0.02, np.nan, 0.03])
    assert result.m == 2 and np.isnan(result.adjusted[1]) and not result.rejected_at_05[1]
    assert result.adjusted[0] == pytest.approx(0.04)
    for bad in ([1.2], [-0.1], [], "p"):
        with pytest.raises(UserError, match="p value"):
            holm(bad)


def test_least_pairs_of_the_table():
    printed = {1: 6, 2: 7, 3: 7, 5: 8, 10: 9, 45: 11, 124_750: 23}
    assert {m: least_pairs(m) for m in printed} == printed
    for bad in (dict(comparisons=0), dict(alpha=0), dict(alpha=1), dict(comparisons=1.5)):
        with pytest.raises(UserError):
            least_pairs(**bad)


def test_required_seeds_of_the_table():
    results = [required_seeds(effect) for effect in (0.5, 1, 2)]
    assert [r.n for r in results] == [34, 10, 5]
    assert [r.n_normal for r in results] == [32, 8, 2]
    assert [r.n_exact for r in results] == [34, 10, 6]
    assert all(r.power >= 0.8 > t_power(r.effect, r.n - 1) for r in results)
    assert required_seeds(-1).n == 10
    assert required_seeds(1, comparisons=10).n > 10
    assert noether_seeds() == 29
    assert sd_upper_limit(1, 3) == pytest.approx(2.1, abs=0.05)


@pytest.mark.parametrize(("effect", "n"), [(1.0, 10), (2.0, 5), (0.3, 20)])
def test_power_is_that_of_simulated_t_tests(effect, n):
    d = np.random.default_rng(n).normal(effect, 1, (20_000, n))
    simulated = (stats.ttest_1samp(d, 0, axis=1).pvalue <= 0.05).mean()
    assert t_power(effect, n) == pytest.approx(simulated, abs=0.015)


def test_power_grows_with_pairs_and_effects():
    for alpha in (0.05, 0.05 / 1225):
        table = np.array(
            [
                [t_power(effect, n, alpha) for n in (2, 3, 5, 8, 20, 100, 1000, 20_000)]
                for effect in (0.01, 0.1, 0.3, 1, 2, 3, 5, 20, 1e4)
            ]
        )
        assert (table >= 0).all() and (table <= 1).all()
        assert (np.diff(table, axis=0) >= -1e-12).all() and (np.diff(table, axis=1) >= -1e-12).all()
        assert table[0, 0] < 0.051 and table[-1, -1] == 1


@pytest.mark.parametrize("effect", [0.01, 0.1, 3, 10, 1e3, 1e9])
def test_tiny_and_huge_effects(effect):
    r = required_seeds(effect)
    assert r.n >= 2 and t_power(effect, r.n) >= 0.8
    assert r.n == 2 or t_power(effect, r.n - 1) < 0.8


def test_no_effect_takes_no_number_of_seeds():
    assert required_seeds(0).n is None and required_seeds(0).reason == "no difference to see"
    assert "more than" in required_seeds(1e-6).reason


def test_seeds_needed_goes_by_the_upper_limit_of_the_spread():
    d = np.array([0.01, 0.03, 0.02])
    r = seeds_needed(d)
    assert r.sd == pytest.approx(sd_upper_limit(0.01, 3)) and r.difference == pytest.approx(0.02)
    assert r.n == required_seeds(0.02 / r.sd).n > seeds_needed(d, cautious=False).n
    assert seeds_needed(d, difference=0.01).n > r.n
    same = seeds_needed([0.25, 0.25, 0.25])
    assert same.n is None and same.n_exact == 6 and "no spread" in same.reason
    assert seeds_needed([0.0, 0.0]).n_exact is None


def test_bad_input():
    for bad in (dict(power=1), dict(power=0), dict(alpha=0), dict(alpha=2), dict(comparisons=0)):
        with pytest.raises(UserError):
            required_seeds(1, **bad)
    for effect in (float("inf"), float("nan"), "1"):
        with pytest.raises(UserError, match="effect"):
            required_seeds(effect)
    with pytest.raises(UserError, match="at least two"):
        seeds_needed([0.1])
    with pytest.raises(UserError, match="gamma"):
        noether_seeds(0.5)
    with pytest.raises(UserError, match="n is 1"):
        sd_upper_limit(1, 1)
