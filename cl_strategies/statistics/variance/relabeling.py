"""Permutation of the order labels over runs: every relabeling, or a sample of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from math import factorial, prod

import numpy as np
from numpy.typing import NDArray

from cl_strategies.validation.arrays import Floats

#: Divisions of the runs into groups up to which all are counted.
MOST = 20_000
#: Relabelings drawn where they are too many.
DRAWS = 10_000


def disparity_p(runs: Floats, sizes: tuple[int, ...], seed: int = 0) -> tuple[float, int]:
    """Return the share of relabelings whose mean disparity is at least the observed one.

    Whole runs, with all their tasks, change their order.

    :param runs: final accuracies, shape (runs, tasks), those of one order together.
    :param sizes: runs of each order.
    :return: the p, and the number of relabelings counted (or drawn: then the observed one is
        counted in both numbers).
    """
    total = factorial(len(runs)) // prod(factorial(size) for size in sizes)
    observed = _disparity(np.arange(len(runs))[None], runs, sizes)[0] - 1e-12
    if len(set(sizes)) == 1 and total // factorial(len(sizes)) <= MOST:
        divisions = np.array(list(_divisions(tuple(range(len(runs))), sizes[0])))
        return float((_disparity(divisions, runs, sizes) >= observed).mean()), total
    generator = np.random.default_rng(seed)
    drawn = generator.permuted(np.tile(np.arange(len(runs)), (DRAWS, 1)), axis=1)
    reached = int((_disparity(drawn, runs, sizes) >= observed).sum())
    return (reached + 1) / (DRAWS + 1), DRAWS


def _divisions(items: tuple[int, ...], size: int) -> Iterator[tuple[int, ...]]:
    """Yield every division into groups of ``size``, groups one after another.

    Which group is called which makes no difference to a range over groups.
    """
    if not items:
        yield ()
        return
    first, rest = items[0], items[1:]
    for others in combinations(rest, size - 1):
        left = tuple(item for item in rest if item not in others)
        for tail in _divisions(left, size):
            yield (first, *others, *tail)


def _disparity(rows: NDArray[np.int64], runs: Floats, sizes: tuple[int, ...]) -> Floats:
    """Return the mean over tasks of the range of order means, for each row of run numbers."""
    groups = np.split(rows, np.cumsum(sizes)[:-1], axis=1)
    means = [runs[group].mean(axis=1) for group in groups]
    low = high = means[0]
    for mean in means[1:]:
        low, high = np.minimum(low, mean), np.maximum(high, mean)
    return np.asarray((high - low).mean(axis=1))
