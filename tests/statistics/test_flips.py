"""Sign-flip tests beside SciPy's, beside brute force, and in their limits."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from cl_strategies.errors import UserError
from cl_strategies.statistics import (
    signflip,
    signflip_orders,
    smallest_p,
    stratified_signflip,
)
from cl_strategies.statistics.pairs import wilcoxon_p

STEPS = st.lists(st.integers(-6, 6).map(lambda step: step / 100), min_size=1, max_size=9)


def brute(terms):
    sums = [abs(np.dot(signs, terms)) for signs in product((-1, 1), repeat=len(terms))]
    return np.mean(np.array(sums) >= abs(sum(terms)) - 1e-12)


@given(STEPS)
def test_every_sign_vector_is_counted(d):
    terms = np.array(d) / len(d)
    assert signflip(d).signflip_p_two_sided == pytest.approx(brute(terms), abs=1e-12)


@pytest.mark.parametrize("n", [2, 7, 12])
def test_it_is_the_exact_paired_permutation_test_of_scipy(n):
    d = np.random.default_rng(n).normal(0.3, 1, n)
    expected = stats.permutation_test(
        (d,), np.mean, permutation_type="samples", n_resamples=np.inf, alternative="two-sided"
    )
    assert signflip(d).signflip_p_two_sided == pytest.approx(expected.pvalue, abs=1e-12)


@given(STEPS)
def test_wilcoxon_has_scipys_exact_p(d):
    values = np.array([x for x in d if x])
    if len(values):
        expected = brute(np.sign(values) * stats.rankdata(np.abs(values)))
        assert wilcoxon_p(np.array(d)) == pytest.approx(expected, abs=1e-12)


def test_wilcoxon_without_ties_is_scipys():
    d = np.random.default_rng(0).normal(0.4, 1, 9)
    expected = stats.wilcoxon(d, method="exact").pvalue
    assert wilcoxon_p(d) == pytest.approx(expected, abs=1e-12)


def test_smallest_p_is_that_of_differences_of_one_sign():
    printed = {3: 0.25, 4: 0.125, 5: 0.0625, 6: 0.03125, 7: 0.015625, 8: 0.0078125}
    for n, p in printed.items():
        result = signflip(np.arange(1, n + 1))
        assert smallest_p(n) == result.smallest_p == result.signflip_p_two_sided == p
        assert result.n_flips == 2**n and result.exact
    assert smallest_p(1) == 1.0


def test_twenty_pairs_are_counted_and_more_are_drawn():
    d = np.random.default_rng(3).normal(0.4, 1, 22)
    exact, drawn = signflip(d[:20]), signflip(d)
    assert exact.n_flips == 2**20 and exact.exact
    assert drawn.n_flips == 100_000 and not drawn.exact
    assert drawn == signflip(d, seed=0) and drawn != signflip(d, seed=1)
    assert drawn.signflip_p_two_sided == pytest.approx(stats.ttest_1samp(d, 0).pvalue, abs=0.02)
    assert signflip(np.ones(30)).signflip_p_two_sided == smallest_p(30) == 1 / 100_001


def test_strata_weigh_the_same_and_orders_flip_as_one():
    a, b = [0.03, -0.01], [0.02, 0.04, 0.01, 0.05]
    terms = np.array([*(np.array(a) / 4), *(np.array(b) / 8)])
    result = stratified_signflip([a, b])
    assert result.mean == pytest.approx((np.mean(a) + np.mean(b)) / 2)
    assert result.signflip_p_two_sided == pytest.approx(brute(terms), abs=1e-12)
    scaled = stratified_signflip([np.array(a) * 100, b], standardize=True)
    assert scaled == stratified_signflip([a, b], standardize=True)
    table = np.array([[0.1, 0.2], [-0.1, 0.05], [0.3, 0.2]])
    assert signflip_orders(table) == signflip(table.mean(axis=1))
    assert signflip_orders(table).n == 3


def test_flips_of_whole_orders_keep_the_level_that_flips_of_cells_do_not():
    generator = np.random.default_rng(0)
    alarms = np.zeros(2)
    for _ in range(800):
        d = generator.normal(0, 2, (6, 1)) + generator.normal(0, 1, (6, 2))
        alarms += [
            signflip_orders(d).signflip_p_two_sided <= 0.05,
            signflip(d.ravel()).signflip_p_two_sided <= 0.05,
        ]
    by_order, by_cell = alarms / 800
    assert by_order < 0.05 < 0.10 < by_cell


def test_zeros_and_bad_input():
    assert signflip([0.0, 0.0, 0.0]).signflip_p_two_sided == 1.0
    assert stratified_signflip([[0.0], [0.0]], standardize=True).signflip_p_two_sided == 1.0
    for bad in ([], [[1.0]], [float("nan")], [float("inf")], "text", [1, [2]]):
        with pytest.raises(UserError, match="the differences"):
            signflip(bad)
    with pytest.raises(UserError, match="no streams"):
        stratified_signflip([])
    with pytest.raises(UserError, match="n is 0"):
        smallest_p(0)
