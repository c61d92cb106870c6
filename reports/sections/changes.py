"""Two reports beside each other, as rows of a table."""

from __future__ import annotations

from cl_strategies.reports.comparison.against import SAME, Against, Change, title_of
from cl_strategies.reports.comparison.sentences import p_value, points
from cl_strategies.results.formatting import MISSING, count

HEADINGS = (
    "Benchmark",
    "Metric",
    "Difference (points)",
    "95 % interval",
    "n",
    "p (Holm)",
    "Change",
)


def cells(change: Change) -> tuple[str, ...]:
    """Return a text for each of :data:`HEADINGS`."""
    ends = change.interval
    return (
        change.benchmark,
        title_of(change.metric),
        points(change.mean) if change.n else MISSING,
        MISSING if ends is None else f"{points(ends[0])} to {points(ends[1])}",
        str(change.n),
        MISSING if change.p_adjusted is None else p_value(change.p_adjusted),
        change.word,
    )


def lines(found: Against) -> list[str]:
    """Return in sentences what changed beside the numbers."""
    result = [found.sentence]
    result += [f"Code: {text}." for text in found.code] or ["Code: the same, as far as recorded."]
    result += [f"Data: {text}." for text in found.data]
    result += [f"Only here: {text}." for text in found.added]
    result += [f"Only in {found.name}: {text}." for text in found.removed]
    result += [f"Settings of {label}: {'; '.join(keys)}." for label, keys in found.settings]
    least = max((change.n for change in found.changes if change.word != SAME), default=0)
    if 0 < least < found.least:
        result.append(
            f"With {count(least, 'pair')} an exact test cannot decide here, it takes "
            f"{found.least}: changes are judged by the paired t test."
        )
    return result
