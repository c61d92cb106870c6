"""Components beside REML, intervals by simulation, and order disparity beside its noise."""

from itertools import permutations

import numpy as np
import pytest
from scipy import optimize, stats

from cl_strategies.errors import UserError
from cl_strategies.statistics import c4, order_disparity, range_constant, variance_components
from cl_strategies.statistics.variance.components import nested
from cl_strategies.statistics.variance.relabeling import disparity_p


def reml(table, crossed):
    """Return the variances that maximize the restricted likelihood."""
    orders, seeds = table.shape
    y, ones = table.ravel(), np.ones((table.size, 1))
    blocks = [np.kron(np.eye(orders), np.ones((seeds, seeds))), np.eye(table.size)]
    if crossed:
        blocks.insert(1, np.kron(np.ones((orders, orders)), np.eye(seeds)))

    def loss(logs):
        v = sum(np.exp(log) * block for log, block in zip(logs, blocks, strict=True))
        inverse = np.linalg.inv(v)
        weight = (ones.T @ inverse @ ones).item()
        r = y - (ones.T @ inverse @ y).item() / weight
        return np.linalg.slogdet(v)[1] + np.log(weight) + r @ inverse @ r

    start = np.full(len(blocks), np.log(y.var()))
    options = dict(xatol=1e-9, fatol=1e-12, maxiter=4000)
    return np.exp(optimize.minimize(loss, start, method="Nelder-Mead", options=options).x)


def test_components_are_those_of_reml_on_balanced_data():
    generator = np.random.default_rng(4)
    table = (
        generator.normal(0, 2, (5, 1))
        + generator.normal(0, 1, (1, 4))
        + generator.normal(0, 0.7, (5, 4))
    )
    r = variance_components(table)
    assert r.nested.note == r.crossed.note == ""
    nested = r.nested.var_order, r.nested.var_seed
    assert nested == pytest.approx(reml(table, crossed=False), rel=1e-4)
    crossed = r.crossed.var_order, r.crossed.var_seed, r.crossed.var_resid
    assert crossed == pytest.approx(reml(table, crossed=True), rel=1e-4)


def test_the_test_of_orders_is_scipys_analysis_of_variance():
    table = np.random.default_rng(5).normal(size=(4, 3))
    expected = stats.f_oneway(*table)
    r = variance_components(table).nested
    assert (r.F, r.p) == pytest.approx((expected.statistic, expected.pvalue))
    ragged = [table[0], table[1][:2], table[2]]
    expected = stats.f_oneway(*ragged)
    r = variance_components(ragged)
    assert (r.nested.F, r.nested.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert r.crossed is None and r.nested.icc_interval is None and "unequal" in r.nested.note


def test_intervals_of_the_share_cover_it_in_95_of_100_simulations():
    generator = np.random.default_rng(6)
    covered = np.zeros(2)
    for _ in range(400):
        rest = generator.normal(0, 1, (5, 1)) + generator.normal(0, 1, (5, 3))
        both = rest + generator.normal(0, 0.5, (1, 3))
        low, high = nested(list(rest)).icc_interval
        least, most = variance_components(both).crossed.order_share_interval
        covered += [low <= 0.5 <= high, least <= 1 / 2.25 <= most]
    assert ((covered / 400 >= 0.92) & (covered / 400 <= 0.985)).all(), covered / 400


def test_three_orders_leave_the_share_nearly_unknown():
    low, high = variance_components([[0.7, 0.72], [0.74, 0.75], [0.7, 0.73]]).nested.icc_interval
    assert low == 0 and high > 0.95


def test_negative_estimates_are_zero_and_said():
    r = variance_components([[0.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    assert r.nested.var_order == 0 and r.nested.icc == 0
    assert r.nested.note == "estimate was negative" and "(order)" in r.crossed.note


def test_limits():
    assert variance_components([[0.1, 0.2]]) is None
    assert variance_components([[0.1], [0.2]]) is None
    still = variance_components([[0.5, 0.5], [0.5, 0.5]])
    assert still.nested.icc is None and still.nested.F is None and still.crossed.p is None
    assert still.crossed.order_share is None
    assert "F is not defined" in still.nested.note and "F is not" in still.crossed.note
    rounding = variance_components([[0.1, 0.1, 0.1], [0.7, 0.7, 0.7]]).nested
    assert rounding.MS_seed == 0 and rounding.F is None
    exact = variance_components([[0.5, 0.5], [0.75, 0.75]])
    assert exact.nested.icc == 1 and exact.nested.p is None and exact.crossed.order_share == 1
    for bad in ([], 3, [[0.1, "x"]], [[0.1, np.nan], [0.1, 0.2]]):
        with pytest.raises(UserError, match="order"):
            variance_components(bad)


def test_constants_of_the_range():
    printed = {2: 1.128, 3: 1.693, 4: 2.059, 5: 2.326, 6: 2.534, 7: 2.704, 8: 2.847, 9: 2.970}
    printed[10] = 3.078
    assert {n: round(range_constant(n), 3) for n in printed} == printed
    assert range_constant(2) == pytest.approx(2 / np.sqrt(np.pi))
    assert range_constant(3) == pytest.approx(3 / np.sqrt(np.pi))
    assert c4(3) == pytest.approx(0.9213, abs=1e-4)
    assert c4(100_000) == pytest.approx(1, abs=1e-5)


def test_the_excess_is_zero_on_average_where_orders_do_not_differ():
    runs = np.random.default_rng(7).normal(0.8, 0.02, (4000, 5, 2, 6))
    within = runs - runs.mean(axis=2, keepdims=True)
    plain = range_constant(5) * np.sqrt((within**2).sum(axis=(1, 2)) / 5) / np.sqrt(2)
    opd = np.ptp(runs.mean(axis=2), axis=1)
    excess = (opd - plain / c4(5)).mean(axis=1)
    r = order_disparity(runs[0])
    assert r.aopd_excess_unbiased == pytest.approx(excess[0])
    error = excess.std() / np.sqrt(4000)
    assert abs(excess.mean()) < 4 * error < 0.02 * plain.mean()
    assert (opd - plain).mean() / plain.mean() == pytest.approx(0.05, abs=0.015)


def test_every_relabeling_is_counted():
    runs = np.random.default_rng(8).normal(size=(6, 2))
    for sizes in ((2, 2, 2), (3, 3)):
        p, count = disparity_p(runs, sizes)
        groups = np.split(np.arange(6), np.cumsum(sizes)[:-1])
        found = np.array(
            [
                np.ptp([runs[list(order)][group].mean(axis=0) for group in groups], axis=0).mean()
                for order in permutations(range(6))
            ]
        )
        assert p == pytest.approx((found >= found[0] - 1e-12).mean())
        assert count == {3: 90, 2: 20}[len(sizes)]


def test_many_relabelings_are_drawn():
    generator = np.random.default_rng(9)
    orders = generator.normal(0, 0.1, (6, 1, 3)) + generator.normal(0, 0.01, (6, 3, 3))
    r = order_disparity(orders)
    assert r.permutations == 10_000 and r.permutation_p_aopd == 1 / 10_001
    assert r.smallest_permutation_p == 1 / 10_001
    few = order_disparity(np.array([[0, 0], [1, 1], [2, 2]])[:, :, None])
    assert few.permutation_p_aopd == few.smallest_permutation_p == pytest.approx(6 / 90)
    assert order_disparity(orders).permutation_p_aopd == r.permutation_p_aopd


def test_orders_with_one_seed_have_no_floor():
    r = order_disparity([[[0.8, 0.7]], [[0.7, 0.75]]])
    assert r.opd == pytest.approx((0.1, 0.05)) and r.aopd_floor is None and "floor" in r.reason
    assert order_disparity([[[0.8, 0.7], [0.8, 0.7]]]) is None


def test_unequal_numbers_of_seeds():
    r = order_disparity([[[0.8], [0.82]], [[0.7], [0.72], [0.74]]])
    assert r.opd == pytest.approx((0.09,)) and r.degrees_of_freedom == 3
    seeds = 2 / (1 / 2 + 1 / 3)
    expected = range_constant(2) * r.within_order_sd[0] / np.sqrt(seeds)
    assert r.noise_floor_opd[0] == pytest.approx(expected)


def test_bad_tables():
    with pytest.raises(UserError, match="numbers of tasks"):
        order_disparity([[[0.8, 0.7]], [[0.8]]])
    with pytest.raises(UserError, match="scores of order 0"):
        order_disparity([[0.8], [0.7]])
    with pytest.raises(UserError, match="range_constant_d2"):
        order_disparity([[[0.8]], [[0.7]]], range_constant_d2=0)
    for call in (lambda: range_constant(1), lambda: c4(0)):
        with pytest.raises(UserError):
            call()
