"""All pairs of several methods, or each against a baseline, with words that hold together."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from cl_strategies.errors import unknown_name
from cl_strategies.statistics.adjust import index_pairs, least_pairs, pairs_suffice
from cl_strategies.statistics.cells import Scores, checked, complete_pairs
from cl_strategies.statistics.evidence import directions, judged, resolution_of
from cl_strategies.statistics.intervals import t_interval
from cl_strategies.statistics.pairs import PairedComparison, paired
from cl_strategies.statistics.power import seeds_needed
from cl_strategies.statistics.words import (
    BETTER,
    EQUIVALENT,
    ROPE,
    UNDECIDED,
    WORSE,
    by_how_much,
    verdict,
)
from cl_strategies.validation.arrays import Floats
from cl_strategies.validation.numbers import not_negative


@dataclass(frozen=True, kw_only=True)
class ComparedPair:
    """One row of a table of comparisons: a beside b.

    :param comparison: what the pairs say of these two alone; ``None`` without a complete pair.
    :param test: whose ``p`` is adjusted: ``"sign-flip"``, ``"t"`` or ``"none"``.
    :param p_adjusted: by Holm over the table.
    :param verdict: of a within the table: ``"better"`` and ``"worse"`` where the adjusted p is
        at most alpha and the 95 % interval lies on one side of 0, ``"equivalent"`` where the
        interval of level 1 - alpha / m lies within the rope, else ``"undecided"``.
    :param signflip_decides: whether a sign-flip test with so many pairs could pass Holm here.
    :param seeds_needed: pairs that would settle a difference of ``seeds_needed_for``, where the
        verdict is undecided; ``None`` where it is decided, or not known.
    :param seeds_needed_for: the observed difference, or the rope where that is larger.
    :param note: what limits the verdict; empty if nothing does.
    """

    a: str
    b: str
    comparison: PairedComparison | None
    test: str
    p: float | None
    p_adjusted: float | None
    verdict: str
    by_how_much: str
    signflip_decides: bool
    seeds_needed: int | None
    seeds_needed_for: float | None
    note: str


@dataclass(frozen=True, kw_only=True)
class ComparisonTable:
    """Comparisons that are adjusted together.

    :param methods: in the order of the scores.
    :param baseline: what all others are compared with; ``None`` for all pairs.
    :param m: comparisons.
    :param pairs_needed: least number of pairs with which an exact test passes Holm here.
    """

    methods: tuple[str, ...]
    baseline: str | None
    m: int
    alpha: float
    rope: float
    pairs_needed: int
    rows: tuple[ComparedPair, ...]

    def row(self, a: str, b: str) -> ComparedPair:
        """Return the comparison of ``a`` with ``b``, in this direction.

        :raises KeyError: where the table holds it the other way round, or not at all.
        """
        for row in self.rows:
            if (row.a, row.b) == (a, b):
                return row
        raise KeyError((a, b))


def compare_all(
    scores: Scores,
    *,
    baseline: str | None = None,
    rope: float = ROPE,
    alpha: float = 0.05,
    test: str = "auto",
    higher_is_better: bool = True,
    units: Sequence[Hashable] | None = None,
) -> ComparisonTable:
    """Compare all pairs of methods, or each with ``baseline``, on paired cells of one stream.

    :param scores: for each method one score per cell (order, seed), all in the same order;
        ``NaN`` for a run that failed: the pair is dropped.
    :param baseline: a name among the methods. It makes k - 1 comparisons out of k (k - 1) / 2,
        which takes fewer seeds: choose it before looking.
    :param rope: a difference below it does not matter.
    :param alpha: chance of any false ``"better"`` or ``"worse"`` in the table.
    :param test: ``"auto"``: the exact sign-flip test where it can decide with so many pairs, else
        the t test; or one of the two for all rows.
    :param higher_is_better: turn it off for forgetting, errors, bytes and seconds.
    :param units: for claims about orders, the order of each cell: its cells count as one.
    :raises UserError: for fewer than two methods, lists of different length, an unknown baseline.
    """
    not_negative(rope=rope)
    arrays = checked(scores, units)
    methods = tuple(arrays)
    if baseline is not None and baseline not in arrays:
        raise unknown_name("method", baseline, methods)
    indices = index_pairs(len(methods), None if baseline is None else methods.index(baseline))
    names = [(methods[i], methods[j]) for i, j in indices]
    sides = [complete_pairs(arrays[a], arrays[b], units) for a, b in names]
    sign = 1.0 if higher_is_better else -1.0
    gains = [sign * (first - second) for first, second, _ in sides]
    m = len(names)
    needed = least_pairs(m, alpha)
    step = resolution_of(arrays.values())
    p, tests = judged(gains, comparisons=m, alpha=alpha, test=test, resolution=step)
    signs, adjusted = directions(gains, p, alpha)
    rows = []
    for row, (a, b) in enumerate(names):
        first, second, dropped = sides[row]
        word = _word(gains[row], float(signs[row]), rope, alpha / m)
        seeds, difference = (
            _seeds(gains[row], rope, alpha, m) if word == UNDECIDED else (None, None)
        )
        rows.append(
            ComparedPair(
                a=a,
                b=b,
                comparison=_pair(first, second, rope, higher_is_better, dropped),
                test=tests[row],
                p=_known(p[row]),
                p_adjusted=_known(adjusted[row]),
                verdict=word,
                by_how_much=_amount(gains[row], word, rope, alpha),
                signflip_decides=pairs_suffice(len(first), m, alpha),
                seeds_needed=seeds,
                seeds_needed_for=difference,
                note=_note(len(first), tests[row], needed, m),
            )
        )
    return ComparisonTable(
        methods=methods,
        baseline=baseline,
        m=m,
        alpha=alpha,
        rope=rope,
        pairs_needed=needed,
        rows=tuple(rows),
    )


def _pair(
    a: Floats, b: Floats, rope: float, higher_is_better: bool, dropped: int
) -> PairedComparison | None:
    if not len(a):
        return None
    found = paired(a, b, rope=rope, higher_is_better=higher_is_better)
    return PairedComparison(**{**vars(found), "dropped": dropped})


def _word(gains: Floats, sign: float, rope: float, level: float) -> str:
    if sign:
        return BETTER if sign > 0 else WORSE
    if len(gains) < 2:
        return UNDECIDED
    low, high = (float(end) for end in t_interval(gains, 1 - level))
    return EQUIVALENT if verdict(low, high, rope) == EQUIVALENT else UNDECIDED


def _amount(gains: Floats, word: str, rope: float, alpha: float) -> str:
    if word not in (BETTER, WORSE):
        return ""
    low, high = (float(end) for end in t_interval(gains, 1 - alpha))
    return by_how_much(low, high, rope)


def _seeds(gains: Floats, rope: float, alpha: float, m: int) -> tuple[int | None, float | None]:
    if len(gains) < 2:
        return None, None
    difference = max(abs(float(gains.mean())), rope)
    found = seeds_needed(gains, difference=difference, alpha=alpha, comparisons=m)
    return found.n_exact, difference


def _known(value: float) -> float | None:
    return float(value) if value == value else None


def _note(n: int, test: str, needed: int, m: int) -> str:
    if n < 2:
        return f"{n} complete pair{'s' * (n != 1)}: no spread to judge by"
    if test == "t":
        return (
            f"an exact test cannot decide with n = {n} and {m} comparisons, it takes {needed}: "
            "judged by the t test, which assumes roughly normal differences"
        )
    if n < needed:
        return f"cannot be decided by this test with n = {n}: it takes {needed}"
    return ""
