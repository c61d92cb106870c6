"""The p value by which a comparison of a table is judged, and the test that it is of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from cl_strategies.errors import UserError
from cl_strategies.statistics.adjust import holm_adjusted, pairs_suffice
from cl_strategies.statistics.flips import flip_p
from cl_strategies.statistics.intervals import t_interval, t_p
from cl_strategies.validation.arrays import Floats

SIGN_FLIP, T, NONE = "sign-flip", "t", "none"
TESTS = ("auto", SIGN_FLIP, T)


def judged(
    differences: Sequence[Floats],
    *,
    comparisons: int,
    alpha: float,
    test: str,
    resolution: float = 0.0,
) -> tuple[Floats, list[str]]:
    """Return for each list of differences a two-sided p and the test that gave it.

    ``"auto"``: the exact sign-flip test where it can reject after Holm with so many pairs, else
    the t test, which assumes roughly normal differences. Where all differences are 0 there is no
    t; the sign-flip p of 1 counts. Without two pairs p is ``NaN`` and the test ``"none"``.

    :param resolution: least step between scores, for differences that are all equal.
    :raises UserError: for a test that is not known.
    """
    if test not in TESTS:
        raise UserError(f"test is {test!r}: give one of {', '.join(TESTS)}")
    p, names = np.full(len(differences), np.nan), [NONE] * len(differences)
    for n in {len(d) for d in differences if len(d) > 1}:
        rows = [row for row, d in enumerate(differences) if len(d) == n]
        flipped = test == SIGN_FLIP or (test == "auto" and pairs_suffice(n, comparisons, alpha))
        values = np.stack([differences[row] for row in rows])
        by_t = np.full(len(rows), np.nan) if flipped else t_p(values, resolution)
        for row, value, d in zip(rows, by_t, values, strict=True):
            names[row] = SIGN_FLIP if np.isnan(value) else T
            p[row] = flip_p(d / n) if np.isnan(value) else value
    return p, names


def resolution_of(scores: Iterable[Floats]) -> float:
    """Return the least step between two of the scores that is no rounding; 0 without one."""
    values = np.unique(np.concatenate(list(scores)))
    steps = np.diff(values[~np.isnan(values)])
    steps = steps[steps > 1e-9 * np.abs(steps).max(initial=0.0)]
    return float(steps.min()) if len(steps) else 0.0


def directions(differences: Sequence[Floats], p: Floats, alpha: float) -> tuple[Floats, Floats]:
    """Return what each comparison decides, and its p adjusted by Holm over all of them.

    :return: 1 where the mean is above 0, -1 where below, 0 where neither is shown: the adjusted
        p has to be at most ``alpha`` and the 1 - ``alpha`` interval has to lie on one side of 0.
        And the adjusted p values.
    """
    adjusted = holm_adjusted(p)
    signs = np.zeros(len(differences))
    for row in np.flatnonzero(adjusted <= alpha).tolist():
        low, high = t_interval(differences[row], 1 - alpha)
        signs[row] = float(low > 0) - float(high < 0)
    return signs, adjusted
