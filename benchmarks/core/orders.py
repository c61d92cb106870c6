"""The task orders A to E that Li et al. print for their streams (HALRP, Appendix F.1).

The paper calls those of CIFAR-100 A to E, after Yoon et al. (APD), and those of the other streams
seed 0 to seed 4; here all of them have letters. Each number is the original index of a task.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from cl_strategies.benchmarks.core.options import Order, TaskOrder
from cl_strategies.errors import UserError

Orders = Mapping[str, tuple[int, ...]]

LETTERS = "ABCDE"


def _lettered(*orders: Sequence[int]) -> dict[str, tuple[int, ...]]:
    return {letter: tuple(order) for letter, order in zip(LETTERS, orders, strict=True)}


def _seeded(size: int) -> dict[str, tuple[int, ...]]:
    """Orders that are printed in full and equal the permutations with the seeds 0 to 4."""
    return _lettered(
        *(np.random.RandomState(seed).permutation(size).tolist() for seed in range(len(LETTERS)))
    )


CIFAR100_SPLIT = _lettered(
    range(10),
    [1, 7, 4, 5, 2, 0, 8, 6, 9, 3],
    [7, 0, 5, 1, 8, 4, 3, 6, 2, 9],
    [5, 8, 2, 9, 0, 4, 3, 7, 6, 1],
    [2, 9, 5, 4, 8, 0, 6, 1, 3, 7],
)

CIFAR100_SUPERCLASS = _lettered(
    range(20),
    [15, 12, 5, 9, 7, 16, 18, 17, 1, 0, 3, 8, 11, 14, 10, 6, 2, 4, 13, 19],
    [17, 1, 19, 18, 12, 7, 6, 0, 11, 15, 10, 5, 13, 3, 9, 16, 4, 14, 2, 8],
    [11, 9, 6, 5, 12, 4, 0, 10, 13, 7, 14, 3, 15, 16, 8, 1, 2, 19, 18, 17],
    [6, 14, 0, 11, 12, 17, 13, 4, 9, 1, 7, 19, 8, 10, 3, 15, 18, 5, 2, 16],
)

P_MNIST = _lettered(
    [6, 1, 9, 2, 7, 5, 8, 0, 3, 4],
    [2, 9, 6, 4, 0, 3, 1, 7, 8, 5],
    [4, 1, 5, 0, 7, 2, 3, 6, 9, 8],
    [5, 4, 1, 2, 9, 6, 7, 0, 3, 8],
    [3, 8, 4, 9, 2, 6, 0, 1, 5, 7],
)

FIVE_DATASETS = _lettered(
    [2, 0, 1, 3, 4],
    [1, 0, 4, 2, 3],
    [2, 4, 1, 3, 0],
    [3, 4, 1, 0, 2],
    [0, 3, 1, 4, 2],
)

TINY_IMAGENET_20 = _lettered(
    [10, 18, 16, 14, 0, 17, 11, 2, 3, 9, 5, 7, 4, 19, 6, 15, 8, 1, 13, 12],
    [11, 5, 17, 19, 9, 0, 16, 1, 15, 6, 10, 13, 14, 12, 7, 3, 8, 2, 18, 4],
    [7, 6, 17, 8, 19, 15, 13, 0, 3, 9, 14, 4, 10, 12, 16, 5, 11, 18, 2, 1],
    [8, 3, 6, 5, 15, 16, 2, 12, 0, 1, 13, 10, 19, 9, 14, 11, 4, 17, 18, 7],
    [17, 19, 10, 14, 5, 18, 16, 11, 4, 8, 6, 0, 13, 1, 2, 15, 12, 3, 9, 7],
)

TINY_IMAGENET_40 = _seeded(40)

OMNIGLOT_ROTATION = _seeded(100)


def named_order(order: TaskOrder, named: Orders, n_tasks: int) -> Order:
    """Return the permutation that a letter stands for; anything else as it is.

    :param order: a letter, or what every stream takes as ``order``.
    :param named: orders by letter.
    :param n_tasks: number of tasks of the stream.
    :raises UserError: for a letter whose order has another number of tasks.
    """
    if not isinstance(order, str):
        return order
    if len(named[order]) != n_tasks:
        raise UserError(
            f"order {order} is one of {len(named[order])} tasks, but n_experiences is {n_tasks}: "
            f"give a seed, a list that permutes 0..{n_tasks - 1}, or the other n_experiences"
        )
    return named[order]
