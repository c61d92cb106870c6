"""Variance of a score split into task order, seed and rest (random effects)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from cl_strategies.errors import UserError
from cl_strategies.validation.arrays import Floats, numbers

Interval = tuple[float, float]
NEGATIVE = "estimate was negative"
STILL = "no spread beside that of orders: F is not defined"
#: Mean squares below this share of the largest square are rounding.
ROUNDING = 1e-24
#: Draws of the mean squares behind the interval of a crossed design's share.
DRAWS = 10_000


@dataclass(frozen=True, kw_only=True)
class Nested:
    """Fresh seeds in each order: y = mean + order + seed within order.

    :param MS_order: mean square of orders, ``MS_seed`` within orders.
    :param var_order: variance of orders, 0 where the estimate was negative; ``var_seed`` within.
    :param icc: var_order / (var_order + var_seed), the share of the order.
    :param icc_interval: 95 %, exact for normal scores; ``None`` for unequal numbers of seeds.
    :param F: MS_order / MS_seed, ``p`` that of orders that make no difference.
    :param note: what limits the estimates; empty if nothing does.
    """

    MS_order: float
    MS_seed: float
    var_order: float
    var_seed: float
    icc: float | None
    icc_interval: Interval | None
    F: float | None
    p: float | None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Crossed:
    """The same seeds in every order, one run per cell: y = mean + order + seed + rest.

    :param MS_resid: mean square of the rest, which holds the interaction of order and seed.
    :param order_share: var_order over the sum of the three variances; ``seed_share`` alike.
    :param order_share_interval: 95 %, from the distributions of the mean squares of normal scores.
    :param F: MS_order / MS_resid, ``p`` that of orders that make no difference.
    :param note: what limits the estimates; empty if nothing does.
    """

    MS_order: float
    MS_seed: float
    MS_resid: float
    var_order: float
    var_seed: float
    var_resid: float
    order_share: float | None
    order_share_interval: Interval | None
    seed_share: float | None
    F: float | None
    p: float | None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class VarianceComponents:
    """Both readings of a table of orders and seeds; choose by how the seeds were drawn.

    :param nested: for seeds that have nothing to do with those of other orders.
    :param crossed: for the same seeds in every order; ``None`` for unequal numbers of seeds.
    :param grand_mean: mean of the order means.
    :param se_mean_orders_random: its standard error for orders of their kind,
        ``se_mean_naive`` the one that takes all runs for independent: too small.
    :param mean_interval: 95 % t interval of the grand mean, orders random.
    """

    nested: Nested
    crossed: Crossed | None
    grand_mean: float
    se_mean_orders_random: float
    se_mean_naive: float
    mean_interval: Interval


def variance_components(scores: Any) -> VarianceComponents | None:
    """Split the variance of a score into order, seed and rest, by analysis of variance.

    With all estimates positive and equal numbers of seeds it is what REML gives. Three orders
    leave the share nearly unknown: look at its interval, and take five for a statement.

    :param scores: shape (orders, seeds), or one list of scores for each order.
    :return: ``None`` with fewer than two orders or an order with fewer than two seeds.
    :raises UserError: for scores that are not finite numbers.
    """
    rows = by_order(scores, ndim=1)
    if len(rows) < 2 or min(len(row) for row in rows) < 2:
        return None
    sizes = np.array([len(row) for row in rows])
    means = np.array([row.mean() for row in rows])
    values = np.concatenate(rows)
    grand, orders = float(means.mean()), len(rows)
    table = np.stack(rows) if len(set(sizes.tolist())) == 1 else None
    se = float(means.std(ddof=1) / np.sqrt(orders))
    reach = float(stats.t.ppf(0.975, orders - 1)) * se
    return VarianceComponents(
        nested=nested(rows),
        crossed=None if table is None else _crossed(table),
        grand_mean=grand,
        se_mean_orders_random=se,
        se_mean_naive=float(values.std(ddof=1) / np.sqrt(len(values))),
        mean_interval=(grand - reach, grand + reach),
    )


def by_order(scores: Any, ndim: int) -> list[Floats]:
    """Return one array of ``ndim`` axes (seeds first) for each order.

    :raises UserError: for scores that are not finite numbers, or no order.
    """
    if not isinstance(scores, Sequence | np.ndarray) or len(scores) == 0:
        raise UserError("there are no orders: give a list with the scores of each order")
    return [numbers(row, f"the scores of order {r}", ndim=ndim) for r, row in enumerate(scores)]


def nested(rows: list[Floats]) -> Nested:
    """Return the components of at least two orders with at least two seeds of their own each."""
    sizes = np.array([len(row) for row in rows])
    means = np.array([row.mean() for row in rows])
    orders, total = len(rows), int(sizes.sum())
    overall = float((sizes * means).sum() / total)
    ms_order = float((sizes * (means - overall) ** 2).sum() / (orders - 1))
    within = sum(float(((row - row.mean()) ** 2).sum()) for row in rows)
    ms_seed = _without_rounding(within / (total - orders), np.concatenate(rows))
    balanced = len(set(sizes.tolist())) == 1
    per_order = (total - float((sizes**2).sum()) / total) / (orders - 1)
    raw = (ms_order - ms_seed) / per_order
    var_order = max(0.0, raw)
    f = ms_order / ms_seed if ms_seed > 0 else None
    notes = [NEGATIVE] if raw < 0 else [STILL] if f is None else []
    if not balanced:
        notes.append("unequal numbers of seeds: estimates of moments, no interval")
    return Nested(
        MS_order=ms_order,
        MS_seed=ms_seed,
        var_order=var_order,
        var_seed=ms_seed,
        icc=var_order / (var_order + ms_seed) if var_order + ms_seed > 0 else None,
        icc_interval=(
            _icc_interval(f, orders, int(sizes[0])) if balanced and f is not None else None
        ),
        F=f,
        p=None if f is None else float(stats.f.sf(f, orders - 1, total - orders)),
        note="; ".join(notes),
    )


def _without_rounding(square: float, values: Floats) -> float:
    return 0.0 if square <= ROUNDING * max(1.0, float((values**2).max())) else square


def _icc_interval(f: float, orders: int, seeds: int) -> Interval:
    df = orders - 1, orders * (seeds - 1)
    ratios = [max(0.0, (f / float(stats.f.ppf(q, *df)) - 1) / seeds) for q in (0.975, 0.025)]
    return ratios[0] / (1 + ratios[0]), ratios[1] / (1 + ratios[1])


def _crossed(table: Floats) -> Crossed:
    orders, seeds = table.shape
    by_row, by_column, mean = table.mean(axis=1), table.mean(axis=0), table.mean()
    ms_order = float(seeds * ((by_row - mean) ** 2).sum() / (orders - 1))
    ms_seed = float(orders * ((by_column - mean) ** 2).sum() / (seeds - 1))
    rest = table - by_row[:, None] - by_column + mean
    df = (orders - 1) * (seeds - 1)
    ms_rest = _without_rounding(float((rest**2).sum() / df), table)
    raw = (ms_order - ms_rest) / seeds, (ms_seed - ms_rest) / orders
    var_order, var_seed = max(0.0, raw[0]), max(0.0, raw[1])
    total = var_order + var_seed + ms_rest
    f = ms_order / ms_rest if ms_rest > 0 else None
    negative = [name for name, value in zip(("order", "seed"), raw, strict=True) if value < 0]
    return Crossed(
        MS_order=ms_order,
        MS_seed=ms_seed,
        MS_resid=ms_rest,
        var_order=var_order,
        var_seed=var_seed,
        var_resid=ms_rest,
        order_share=var_order / total if total > 0 else None,
        order_share_interval=(
            _share_interval((ms_order, ms_seed, ms_rest), orders, seeds) if total > 0 else None
        ),
        seed_share=var_seed / total if total > 0 else None,
        F=f,
        p=None if f is None else float(stats.f.sf(f, orders - 1, df)),
        note="; ".join(f"{NEGATIVE} ({name})" for name in negative) or STILL * (f is None),
    )


def _share_interval(squares: tuple[float, float, float], orders: int, seeds: int) -> Interval:
    """Return the 95 % generalized interval of the order's share (Weerahandi 1993).

    Each mean square is its expectation times chi-squared over its degrees of freedom; what
    expectations would have given these ones is drawn.
    """
    generator = np.random.default_rng(0)
    df = orders - 1, seeds - 1, (orders - 1) * (seeds - 1)
    expected = [
        square * k / generator.chisquare(k, DRAWS) for square, k in zip(squares, df, strict=True)
    ]
    order = np.maximum(0.0, (expected[0] - expected[2]) / seeds)
    seed = np.maximum(0.0, (expected[1] - expected[2]) / orders)
    low, high = np.quantile(order / (order + seed + expected[2]), [0.025, 0.975])
    return float(low), float(high)
