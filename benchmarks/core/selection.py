"""Which tasks, classes and samples a stream has: what its options choose.

All randomness is drawn from ``numpy.random.RandomState``, whose streams NumPy has frozen: the
same seed gives the same stream on every machine, and no global generator is touched.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from cl_strategies.benchmarks.core.options import ClassOrder
from cl_strategies.errors import UserError

_SUBSET = 1  # first word of the seed, so that no two purposes share a stream of numbers
_TEST_SPLIT = 2


def permutation(what: str, given: ClassOrder, size: int) -> tuple[int, ...]:
    """Return a permutation of ``range(size)``.

    :param what: name of the option, for messages.
    :param size: number of tasks, or of classes.
    :param given: ``None``: natural order; an integer: the seed of a random permutation; a
        list: the permutation itself.
    :raises UserError: for a list that is not a permutation.
    """
    if given is None:
        return tuple(range(size))
    if isinstance(given, Sequence):
        if sorted(given) != list(range(size)):
            raise UserError(
                f"{what} is {list(given)!r}: a list must hold each of 0..{size - 1} exactly once"
            )
        return tuple(given)
    return tuple(np.random.RandomState(given).permutation(size).tolist())


def partition(items: Sequence[int], n_parts: int) -> list[tuple[int, ...]]:
    """Cut ``items`` into consecutive parts; the first ones are larger by one where need be.

    :raises UserError: if a part would be empty.

    >>> partition(range(10), 3)
    [(0, 1, 2, 3), (4, 5, 6), (7, 8, 9)]
    """
    if not 1 <= n_parts <= len(items):
        raise UserError(
            f"n_experiences is {n_parts}, and there are {len(items)} classes to split: give at "
            f"least 1 and at most {len(items)}"
        )
    small, larger = divmod(len(items), n_parts)
    ends = np.cumsum([0] + [small + (part < larger) for part in range(n_parts)]).tolist()
    return [tuple(items[start:end]) for start, end in pairwise(ends)]


def stratified_rows(
    labels: np.ndarray,
    classes: Sequence[int],
    *,
    fraction: float,
    validation: float,
    where: str,
    groups: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Choose rows class by class, in one fixed random order per class.

    A class keeps the first ``fraction`` of its order (at least one sample), so that smaller
    fractions are contained in larger ones; the last ``validation`` of what is kept is held
    out (at least one sample).

    :param labels: ``(N,)`` class ids.
    :param classes: the classes to choose from.
    :param where: name of the stream, for messages.
    :param groups: ``(N,)`` numbers of what samples were made from, if several were made from one:
        such samples are kept, left out or held out together, and "sample" above means a group.
    :returns: rows to train on and rows held out, ascending.
    :raises UserError: if a class has too few samples.
    """
    if groups is not None:
        firsts = np.unique(groups, return_index=True)[1]
        chosen = stratified_rows(
            labels[firsts], classes, fraction=fraction, validation=validation, where=where
        )
        kept, held = (np.isin(groups, groups[firsts[rows]]) for rows in chosen)
        return np.flatnonzero(kept), np.flatnonzero(held)
    training: list[np.ndarray] = [np.empty(0, dtype=np.int64)]
    held_out = list(training)
    for label in classes:
        rows = _shuffled_rows(labels, label, _SUBSET)
        if not rows.size:
            raise UserError(f"{where}: class {label} has no training sample")
        rows = rows[: max(1, _nearest(fraction * rows.size))]
        keep = rows.size - (max(1, _nearest(validation * rows.size)) if validation else 0)
        if keep < 1:
            raise UserError(
                f"{where}: class {label} has {rows.size} training sample(s) at fraction "
                f"{fraction:g}, too few to hold out {validation:g} of them: "
                "lower validation or raise fraction"
            )
        training.append(rows[:keep])
        held_out.append(rows[keep:])
    return np.sort(np.concatenate(training)), np.sort(np.concatenate(held_out))


def train_test_rows(
    labels: np.ndarray, share: float, *, least: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Return rows for training and testing of a data set that comes without a split, ascending.

    :param share: of the samples of each class, for testing.
    :param least: samples of each class that are for testing at least.
    """
    test = np.concatenate(
        [
            (rows := _shuffled_rows(labels, label, _TEST_SPLIT))[
                : max(least, _nearest(share * rows.size))
            ]
            for label in np.unique(labels).tolist()
        ]
    )
    return np.setdiff1d(np.arange(len(labels)), test), np.sort(test)


def _shuffled_rows(labels: np.ndarray, label: int, purpose: int) -> np.ndarray:
    return np.random.RandomState([purpose, label]).permutation(np.flatnonzero(labels == label))


def _nearest(value: float) -> int:
    return math.floor(value + 0.5)
