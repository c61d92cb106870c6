"""Order disparity of means over seeds, beside what seeds alone would make of it."""

from __future__ import annotations

from dataclasses import dataclass
from math import factorial
from typing import Any

import numpy as np

from cl_strategies.errors import UserError
from cl_strategies.statistics.variance.components import by_order, nested
from cl_strategies.statistics.variance.noise_range import c4, range_constant
from cl_strategies.statistics.variance.relabeling import DRAWS, disparity_p
from cl_strategies.validation.arrays import Floats
from cl_strategies.validation.numbers import positive

PerTask = tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class OrderDisparity:
    """How far the final accuracy of each task depends on the order of the tasks.

    Compare it between methods only at equal numbers of orders and seeds. Fields that need two
    seeds of each order are ``None`` where there are not, and ``reason`` says so.

    :param P: final accuracy by order and task, the mean over seeds, shape (orders, tasks).
    :param opd: largest minus smallest over orders, for each task; ``mopd`` and ``aopd`` their
        largest and mean (Yoon et al. 2020).
    :param within_order_sd: of single runs about the mean of their order, for each task.
    :param noise_floor_opd: disparity that such a spread makes on average in orders that do not
        differ; ``aopd_floor`` its mean, ``aopd_excess`` what ``aopd`` is above it.
    :param noise_floor_opd_unbiased: the same with the standard deviation's bias (``c4``)
        removed: this is the one to report.
    :param ms_order: mean squares and components of each task: ``ms_seed``, ``var_order``,
        ``var_seed``, and ``order_share`` of the variance.
    :param permutation_p_aopd: share of relabelings of the runs with at least this ``aopd``.
    :param permutations: relabelings counted.
    :param smallest_permutation_p: the least p that so many orders and seeds can give.
    :param sd_of_order_means: standard deviation over orders of the mean over tasks; it can be
        tiny where ``opd`` is large.
    """

    P: Floats
    opd: PerTask
    mopd: float
    aopd: float
    sd_of_order_means: float
    within_order_sd: PerTask | None = None
    noise_floor_opd: PerTask | None = None
    aopd_floor: float | None = None
    aopd_excess: float | None = None
    degrees_of_freedom: int | None = None
    c4: float | None = None
    noise_floor_opd_unbiased: PerTask | None = None
    aopd_floor_unbiased: float | None = None
    aopd_excess_unbiased: float | None = None
    ms_order: PerTask | None = None
    ms_seed: PerTask | None = None
    var_order: PerTask | None = None
    var_seed: PerTask | None = None
    order_share: tuple[float | None, ...] | None = None
    permutation_p_aopd: float | None = None
    permutations: int | None = None
    smallest_permutation_p: float | None = None
    reason: str = ""


def order_disparity(
    final_accuracy: Any, *, range_constant_d2: float | None = None, seed: int = 0
) -> OrderDisparity | None:
    """Return the order disparity of means over seeds with its noise floor.

    Noise of standard deviation s makes a range of d2(R) s / sqrt(S) over R orders of S seeds. The
    floor is a reading of this package, not of a paper.

    :param final_accuracy: shape (orders, seeds, tasks), tasks by their original index; or one
        table (seeds, tasks) for each order. For unequal numbers of seeds the floor takes the
        harmonic mean of S.
    :param range_constant_d2: mean range of R normal values; computed by default.
    :param seed: of the relabelings drawn where they are too many to count.
    :return: ``None`` with fewer than two orders.
    :raises UserError: for tables with different tasks.
    """
    tables = by_order(final_accuracy, ndim=2)
    if len({table.shape[1] for table in tables}) > 1:
        raise UserError("the orders have different numbers of tasks: give the same tasks for each")
    if len(tables) < 2:
        return None
    if range_constant_d2 is not None:
        positive(range_constant_d2=range_constant_d2)
    p = np.stack([table.mean(axis=0) for table in tables])
    opd = np.ptp(p, axis=0)
    found: dict[str, Any] = {
        "P": p,
        "opd": _per_task(opd),
        "mopd": float(opd.max()),
        "aopd": float(opd.mean()),
        "sd_of_order_means": float(p.mean(axis=1).std(ddof=1)),
    }
    sizes = tuple(len(table) for table in tables)
    if min(sizes) < 2:
        return OrderDisparity(**found, reason="floor unknown: it takes two seeds of each order")
    d2 = range_constant(len(tables)) if range_constant_d2 is None else float(range_constant_d2)
    return OrderDisparity(**found, **_noise(tables, sizes, opd, d2), **_tests(tables, sizes, seed))


def _noise(tables: list[Floats], sizes: tuple[int, ...], opd: Floats, d2: float) -> dict[str, Any]:
    df = sum(sizes) - len(sizes)
    squares = sum(((table - table.mean(axis=0)) ** 2).sum(axis=0) for table in tables)
    sd = np.sqrt(squares / df)
    seeds = len(sizes) / sum(1 / size for size in sizes)
    floor = d2 * sd / np.sqrt(seeds)
    unbiased = floor / c4(df)
    return {
        "within_order_sd": _per_task(sd),
        "noise_floor_opd": _per_task(floor),
        "aopd_floor": float(floor.mean()),
        "aopd_excess": float(opd.mean() - floor.mean()),
        "degrees_of_freedom": df,
        "c4": c4(df),
        "noise_floor_opd_unbiased": _per_task(unbiased),
        "aopd_floor_unbiased": float(unbiased.mean()),
        "aopd_excess_unbiased": float(opd.mean() - unbiased.mean()),
    }


def _tests(tables: list[Floats], sizes: tuple[int, ...], seed: int) -> dict[str, Any]:
    tasks = range(tables[0].shape[1])
    parts = [nested([table[:, task] for table in tables]) for task in tasks]
    p, permutations = disparity_p(np.concatenate(tables), sizes, seed)
    alike = factorial(len(sizes)) if permutations != DRAWS else 1
    return {
        "ms_order": tuple(part.MS_order for part in parts),
        "ms_seed": tuple(part.MS_seed for part in parts),
        "var_order": tuple(part.var_order for part in parts),
        "var_seed": tuple(part.var_seed for part in parts),
        "order_share": tuple(part.icc for part in parts),
        "permutation_p_aopd": p,
        "permutations": permutations,
        "smallest_permutation_p": alike / permutations if alike > 1 else 1 / (DRAWS + 1),
    }


def _per_task(values: Floats) -> PerTask:
    return tuple(float(value) for value in values)
