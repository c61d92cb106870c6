"""Differences between strategies with their intervals: a forest plot."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.collections import LineCollection

from cl_strategies.reports.comparison.pairs import Pair
from cl_strategies.reports.plots.palette import GRID, INK, MUTED, SURFACE
from cl_strategies.reports.plots.svg import (
    Drawing,
    Label,
    drawing_style,
    new_axes,
    shorten,
    text_width,
)
from cl_strategies.statistics.words import BETTER, EQUIVALENT, WORSE

_WIDTH, _ROW, _LABEL = 6.4, 0.26, 8.0
#: Verdict -> marker: whoever sees no color sees the shape, and the word at the right.
_MARKERS = {BETTER: "o", WORSE: "o", EQUIVALENT: "s"}


def forest_svg(pairs: Sequence[Pair], rope: float, leader: str, key: str) -> str:
    """Return :func:`draw_forest` as SVG; ``""`` without pairs.

    :param key: prefix of the SVG's ids.
    """
    return draw_forest(pairs, rope, leader).svg(key, {}) if pairs else ""


def draw_forest(pairs: Sequence[Pair], rope: float, leader: str) -> Drawing:
    """Draw how far ``leader`` is ahead of each other strategy, with 95 % intervals.

    The band is the difference that does not matter. Filled markers are decided, open ones are
    not; the verdict stands at the right.

    :param pairs: whose ``a`` is the leader.
    :param rope: half the width of the band, as a fraction.
    """
    with drawing_style():
        names = [shorten(pair.b) for pair in pairs]
        words = [_word(pair) for pair in pairs]
        left, right = 0.2 + text_width(names, _LABEL), 0.25 + text_width(words, _LABEL)
        width = max(_WIDTH, left + right + 2.4)
        axes = new_axes(width, _ROW * len(pairs) + 0.65, (left, right, 0.5, 0.1))
        ends = [100 * end for pair in pairs for end in (pair.interval or (pair.mean, pair.mean))]
        low, high = min(0.0, -100 * rope, *ends), max(0.0, 100 * rope, *ends)
        margin = 0.04 * (high - low)
        axes.set_xlim(low - margin, high + margin)
        axes.set_ylim(len(pairs) - 0.5, -0.5)
        axes.set_yticks([])
        axes.spines[:].set_visible(False)
        axes.axvspan(-100 * rope, 100 * rope, color=GRID, linewidth=0)
        axes.axvline(0, color=MUTED, linewidth=0.9)
        axes.set_xlabel(f"{shorten(leader)} is ahead by (points of average accuracy)")
        lines = [
            [(100 * end, y) for end in pair.interval]
            for y, pair in enumerate(pairs)
            if pair.interval
        ]
        axes.add_collection(LineCollection(lines, colors=INK, linewidths=1.2), autolim=False)
        for y, pair in enumerate(pairs):
            axes.plot(
                [100 * pair.mean],
                [y],
                marker=_MARKERS.get(pair.verdict, "o"),
                markersize=5,
                markerfacecolor=INK if pair.verdict in _MARKERS else SURFACE,
                markeredgecolor=INK,
                zorder=4,
            )
        beside = axes.get_yaxis_transform()
        for y, (name, word) in enumerate(zip(names, words, strict=True)):
            axes.add_artist(Label(name, (-0.015, y), beside, size=_LABEL, anchor="end"))
            axes.add_artist(Label(word, (1.015, y), beside, size=_LABEL))
        return Drawing(axes)


def _word(pair: Pair) -> str:
    """Return the verdict of the strategy of the row, which is ``b``."""
    if pair.needed is not None:
        return f"{pair.verdict} ({pair.needed} needed)"
    return {BETTER: WORSE, WORSE: BETTER}.get(pair.verdict, pair.verdict)
