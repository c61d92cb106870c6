"""What a figure shows, in words and numbers, for those who do not see it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from cl_strategies.reports.analysis.grouping import Group
from cl_strategies.results.formatting import count

LONGEST = 300
"""Letters of an alternative text; all numbers are in the tables."""


def alternative(
    start: str,
    values: Mapping[str, float],
    text: Callable[[float], str] | Mapping[str, str],
    *,
    end: str = "",
) -> str:
    """Return ``start``, then every series with its number, largest first.

    Where that is longer than :data:`LONGEST`, only the largest and the smallest are named.

    :param start: kind of figure, axes and units; ends with what the numbers are.
    :param values: label -> the number that stands for its series.
    :param text: a number as text, or the text of each label.
    :param end: a sentence more, such as how many runs there are.
    """
    ranked = sorted(values.items(), key=lambda item: (-item[1], item[0]))
    said = [f"{name} {text(value) if callable(text) else text[name]}" for name, value in ranked]
    tail = f" {end}" if end else ""
    whole = f"{start}: {', '.join(said) or 'not measured'}.{tail}"
    if len(whole) <= LONGEST or len(said) < 3:
        return whole
    return (
        f"{start}: most {said[0]}, least {said[-1]}, and {len(said) - 2} between, which are in "
        f"the table.{tail}"
    )


def runs_of(groups: Sequence[Group]) -> str:
    """Return ``n = 5 runs each`` or ``n = 3 to 5 runs``."""
    sizes = sorted({len(group.finished) for group in groups if group.finished})
    if not sizes:
        return ""
    if len(sizes) == 1:
        return f"n = {count(sizes[0], 'run')} each."
    return f"n = {sizes[0]} to {count(sizes[-1], 'run')} each."
