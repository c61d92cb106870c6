"""Mean ranks over benchmarks: a critical-difference diagram (Demsar 2006)."""

from __future__ import annotations

from matplotlib.collections import LineCollection

from cl_strategies.reports.comparison.streams import Ranks
from cl_strategies.reports.plots.palette import INK, MUTED
from cl_strategies.reports.plots.svg import Label, drawing_style, new_axes, shorten, to_svg

_WIDTH, _LABEL, _STEP = 6.4, 8.0, 0.22


def ranks_svg(found: Ranks, key: str) -> str:
    """Mean ranks on a line, best at the left; bars join what pairwise tests do not separate.

    Pairs are separated by sign-flip tests over the benchmarks, adjusted by Holm. The ruler shows
    the critical difference of Nemenyi's test.

    :param key: prefix of the SVG's ids.
    """
    test, names = found.friedman, found.strategies
    means = [float(value) for value in test.mean_ranks]
    order = sorted(range(len(names)), key=lambda i: (means[i], names[i]))
    half = (len(order) + 1) // 2
    bars = test.signflip_cliques
    height = 1.0 + 0.09 * len(bars) + _STEP * half
    with drawing_style():
        axes = new_axes(_WIDTH, height, (1.9, 1.9, 0.1, 0.55))
        inches = height - 0.65
        axes.set_xlim(0.9, len(names) + 0.1)
        axes.set_ylim(-inches, 0)
        axes.set_yticks([])
        axes.grid(False)
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.spines["top"].set_visible(True)
        axes.xaxis.tick_top()
        axes.set_xticks(range(1, len(names) + 1))
        lines, low = [], 0.12
        for bar in bars:
            ends = [means[i] for i in bar]
            lines.append([(min(ends) - 0.04, -low), (max(ends) + 0.04, -low)])
            low += 0.09
        axes.add_collection(LineCollection(lines, colors=INK, linewidths=3.0), autolim=False)
        leaders = []
        for place, i in enumerate(order):
            first = place < half
            row = place if first else len(order) - 1 - place
            y, edge = -(low + 0.1 + _STEP * row), 0.9 if first else len(names) + 0.1
            leaders.append([(means[i], 0.0), (means[i], y), (edge, y)])
            text = f"{shorten(names[i])} {means[i]:.2f}"
            place_ = (edge + (-0.06 if first else 0.06), y)
            label = Label(
                text, place_, axes.transData, size=_LABEL, anchor="end" if first else "start"
            )
            axes.add_artist(label)
        axes.add_collection(LineCollection(leaders, colors=MUTED, linewidths=0.9), autolim=False)
        cd = float(test.nemenyi_cd_05)
        text = f"mean rank, 1 is best; Nemenyi's critical difference {cd:.2f}"
        axes.set_xlabel(text)
        axes.xaxis.set_label_position("top")
        return to_svg(axes, key)
