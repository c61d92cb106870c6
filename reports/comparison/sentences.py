"""Comparisons in sentences."""

from __future__ import annotations

from cl_strategies.reports.analysis.findings import Finding
from cl_strategies.reports.comparison.pairs import Pair, PairTable
from cl_strategies.results.formatting import count, plain
from cl_strategies.statistics.adjust import smallest_p
from cl_strategies.statistics.words import BETTER, EQUIVALENT, UNDECIDED, WORSE

#: With so many pairs or fewer no two-sided exact test reaches 0.05.
FEW = 5
LESS = "by less than matters"


def points(value: float, decimals: int = 1) -> str:
    """Return a difference of fractions in percentage points, without a unit."""
    return plain(100 * value, decimals)


def p_value(p: float) -> str:
    """Return two digits of a p value: ``0.063``, ``0.40``; less than 0.001 as such."""
    if p < 0.001:
        return "below 0.001"
    half_up = p + 1e-9  # 0.0625 is 0.063, as in print
    return f"{half_up:.3f}" if p < 0.1 else f"{half_up:.2f}"


def equals(p: float) -> str:
    """Return ``= 0.063`` or ``below 0.001``."""
    text = p_value(p)
    return text if text.startswith("below") else f"= {text}"


def how_much(pair: Pair, table: PairTable) -> str:
    """Return what qualifies the verdict: ``by more than 1 point``; empty if nothing does."""
    if not pair.by_how_much or pair.by_how_much == LESS:
        return pair.by_how_much
    return f"by more than {points(table.rope, 0)} point"


def interval(pair: Pair) -> str:
    """Return ``0.5 to 2.2``, in points; a dash for one pair, which has none."""
    if pair.interval is None:
        return "\u2013"
    return " to ".join(points(end) for end in pair.interval)


def sentence(pair: Pair, table: PairTable) -> str:
    """Say what is known of ``a`` and ``b``: a difference, none that matters, or not enough."""
    unit = count(pair.n, table.unit)
    if pair.verdict == EQUIVALENT:
        return f"{pair.a} and {pair.b} are equivalent within ±{points(table.rope, 0)} point."
    if pair.verdict in (BETTER, WORSE):
        first, second = (pair.a, pair.b) if pair.verdict == BETTER else (pair.b, pair.a)
        low, high = sorted(abs(end) for end in pair.interval or (0.0, 0.0))
        amount = f", {how_much(pair, table)}" if pair.by_how_much == LESS else ""
        return (
            f"{first} beats {second} by {points(abs(pair.mean))} points (95 % interval "
            f"{points(low)} to {points(high)}, n = {unit}){amount}; {_tests(pair, table)}."
        )
    if pair.interval is None:
        return f"Undecided: {pair.a} and {pair.b} share one {table.unit}, which has no spread."
    text = f"Undecided: {pair.a} less {pair.b} is {interval(pair)} points with {unit}"
    if pair.needed is not None and pair.needed_for is not None:
        text += (
            f"; about {pair.needed} would settle a difference of {points(pair.needed_for)} points"
        )
    return f"{text}."


def comparison_findings(table: PairTable) -> list[Finding]:
    """Return what the comparisons of the leader say, and what they cannot."""
    found = []
    if len(table.strategies) > 1:
        second = table.row(table.strategies[0], table.strategies[1])
        if second is not None:
            found.append(Finding(name="", text=sentence(second, table)))
    limit = limits(table)
    return [*found, Finding(name="", text=limit)] if limit else found


def limits(table: PairTable) -> str:
    """Say that an exact test cannot decide with so few pairs, where it cannot."""
    n = table.most
    if n >= table.least:
        return ""
    pairs = count(n, table.unit)
    if n < 2:
        return f"With {pairs} of two strategies nothing can be decided: run more seeds."
    least = p_value(smallest_p(n))
    text = f"An exact test cannot decide with {pairs}: "
    if n <= FEW:
        text += f"the least p that it can give is {least}, and "
    text += (
        f"{count(table.m, 'comparison')} in one table "
        f"take{'s' * (table.m == 1)} at least {table.least} {table.unit}s. "
        "Verdicts are by the t test, which assumes roughly normal differences."
    )
    undecided = [pair for pair in table.pairs if pair.verdict == UNDECIDED]
    known = [pair.needed for pair in undecided if pair.needed is not None]
    if known:
        shown = "" if table.whole else " shown"
        text += (
            f" {len(undecided)} of {count(len(table.pairs), 'comparison')}{shown} "
            f"{'is' if len(undecided) == 1 else 'are'} undecided; differences of the size seen "
            f"would take {_range(known)} {table.unit}s."
        )
    return text


def _range(known: list[int]) -> str:
    low, high = min(known), max(known)
    return f"about {low}" if low == high else f"between {low} and {high}"


def _tests(pair: Pair, table: PairTable) -> str:
    parts = []
    if pair.exact_p is not None:
        least = f", the least possible with {count(pair.n, table.unit)}"
        reached = pair.exact_p <= pair.floor * (1 + 1e-9)
        parts.append(f"exact sign-flip p {equals(pair.exact_p)}{least if reached else ''}")
    if pair.p_adjusted is not None and (table.m > 1 or pair.test == "t"):
        name = "paired t test" if pair.test == "t" else "the same"
        adjusted = f", adjusted for {table.m} comparisons," if table.m > 1 else ""
        parts.append(f"{name}{adjusted} p {equals(pair.p_adjusted)}")
    return "; ".join(parts)
