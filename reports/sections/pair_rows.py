"""Pairs of strategies as rows of a table."""

from __future__ import annotations

from cl_strategies.reports.comparison.pairs import Pair, PairTable
from cl_strategies.reports.comparison.sentences import how_much, interval, p_value, points
from cl_strategies.results.formatting import MISSING

HEADINGS = (
    "Difference (points)",
    "95 % interval",
    "n",
    "p (Holm)",
    "Exact p",
    "Least exact p",
    "Verdict",
    "Needed",
)


def cells(pair: Pair, table: PairTable) -> tuple[str, ...]:
    """Return a text for each of :data:`HEADINGS`; ``Needed`` counts what ``n`` counts."""
    test = {"t": " t", "sign-flip": " s"}.get(pair.test, "")
    verdict = ", ".join(text for text in (pair.verdict, how_much(pair, table)) if text)
    needed = MISSING if pair.needed is None else f"about {pair.needed}"
    return (
        points(pair.mean),
        interval(pair),
        f"{pair.n} ({pair.dropped} dropped)"
        if pair.dropped and table.unit == "pair"
        else str(pair.n),
        MISSING if pair.p_adjusted is None else f"{p_value(pair.p_adjusted)}{test}",
        MISSING if pair.exact_p is None else p_value(pair.exact_p),
        p_value(pair.floor),
        verdict,
        needed,
    )


def explanation(table: PairTable) -> str:
    """Say what was compared, and how."""
    shown = (
        "Every pair of strategies"
        if table.whole
        else f"{table.strategies[0]}, which has the best mean, beside each other strategy"
    )
    counted = (
        "n counts pairs of runs of the same order and seed"
        if table.unit == "pair"
        else "n counts task orders, since the runs of one order move together"
    )
    return (
        f"{shown}; average accuracy, difference of the first less the second. {counted}. p values "
        f"are adjusted by Holm over all {table.m} comparisons; t: paired t test, s: exact "
        "sign-flip test. The best mean was chosen for being high, which flatters it."
    )
