"""Scores of several methods on the same cells (stream, order, seed), matched and averaged."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from cl_strategies.errors import UserError
from cl_strategies.validation.arrays import Floats, numbers

Scores = Mapping[str, Any]


def matched(
    scores: Mapping[str, Mapping[Hashable, float]],
) -> tuple[tuple[Hashable, ...], dict[str, Floats]]:
    """Return the cells in order of appearance, and the scores of each method on them.

    :param scores: for each method its score on each cell, such as (stream, order, seed).
    :return: the cells, and for each method an array of their length with ``NaN`` where it has
        no score.
    """
    cells = tuple(dict.fromkeys(cell for by_cell in scores.values() for cell in by_cell))
    return cells, {
        method: np.array([by_cell.get(cell, np.nan) for cell in cells], dtype=np.float64)
        for method, by_cell in scores.items()
    }


def by_stream(differences: Sequence[Any]) -> list[Floats]:
    """Return the paired differences on each stream as arrays.

    :raises UserError: for no streams, or an empty list of one.
    """
    lists = [
        numbers(values, f"the differences on stream {stream}", ndim=1)
        for stream, values in enumerate(differences)
    ]
    if not lists:
        raise UserError("there are no streams: give a list of differences for each")
    return lists


def checked(scores: Scores, units: Sequence[Hashable] | None) -> dict[str, Floats]:
    """Return the scores as arrays of one length.

    :raises UserError: for fewer than two methods, lists of different length, or a number of
        units other than theirs.
    """
    if len(scores) < 2:
        raise UserError("there is nothing to compare: give the scores of at least two methods")
    arrays = {
        method: numbers(values, f"the scores of {method}", ndim=1, missing=True)
        for method, values in scores.items()
    }
    lengths = {method: len(values) for method, values in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise UserError(
            f"the methods have different numbers of scores, {lengths}: give one for each cell, "
            "NaN for a run that failed"
        )
    if units is not None and len(units) != next(iter(lengths.values())):
        raise UserError(f"there are {len(units)} units for {lengths} scores: give one per score")
    return arrays


def complete_pairs(
    a: Floats, b: Floats, units: Sequence[Hashable] | None = None
) -> tuple[Floats, Floats, int]:
    """Return the scores of a and b where both are there, averaged over the cells of a unit.

    :param units: for each cell the unit of the claim: its order, for claims about orders. A unit
        counts once, however many cells it has. ``None``: each cell is one.
    :return: two arrays of one length, and how many cells were dropped.
    """
    kept = ~(np.isnan(a) | np.isnan(b))
    dropped, a, b = int((~kept).sum()), a[kept], b[kept]
    if units is None:
        return a, b, dropped
    groups: dict[Hashable, list[int]] = {}
    for position, unit in enumerate(np.flatnonzero(kept).tolist()):
        groups.setdefault(units[unit], []).append(position)
    means = [np.array([side[rows].mean() for rows in groups.values()]) for side in (a, b)]
    return means[0], means[1], dropped
