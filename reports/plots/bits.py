"""Average accuracy against bit-width."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cl_strategies.reports.plots.palette import Style
from cl_strategies.reports.plots.svg import (
    drawing_style,
    edged,
    label_ends,
    new_axes,
    shorten,
    text_width,
    to_svg,
)

_WIDTH, _HEIGHT, _LABEL = 4.8, 3.3, 8.0


@dataclass(frozen=True, kw_only=True)
class Point:
    """The accuracy of one method at one bit-width.

    :param bits: of the weights; ``None``: full precision, drawn as a level line.
    :param mean: average accuracy in [0, 1].
    :param std: its standard deviation, or NaN.
    """

    bits: int | None
    mean: float
    std: float


def bits_svg(series: Mapping[str, Sequence[Point]], styles: Mapping[str, Style], key: str) -> str:
    """Return a line for each method; ``""`` unless one of them was run at two bit-widths.

    :param series: label -> points.
    :param styles: label -> style.
    :param key: prefix of the SVG's ids.
    """
    widths = sorted({point.bits for points in series.values() for point in points if point.bits})
    if not any(sum(point.bits is not None for point in points) > 1 for points in series.values()):
        return ""
    place = {bits: x for x, bits in enumerate(widths)}
    height = max(_HEIGHT, 0.155 * len(series) + 0.9)
    ends = {}
    with drawing_style():
        right = 0.36 + text_width([shorten(name) for name in series], _LABEL)
        axes = new_axes(_WIDTH, height, (0.5, right, 0.45, 0.12))
        axes.set_xlim(-0.35, len(widths) - 0.65)
        for name, points in series.items():
            style = styles[name]
            drawn = sorted((p for p in points if p.bits), key=lambda p: place[p.bits or 0])
            for point in points:
                if point.bits is None:
                    axes.axhline(100 * point.mean, color=style.light, linewidth=1.1, linestyle="--")
                    ends[name] = (len(widths) - 0.65, 100 * point.mean)
            if drawn:
                axes.errorbar(
                    [place[point.bits or 0] for point in drawn],
                    [100 * point.mean for point in drawn],
                    yerr=[0 if math.isnan(point.std) else 100 * point.std for point in drawn],
                    color=style.light,
                    linestyle=style.line,
                    linewidth=1.6,
                    elinewidth=0.8,
                    **edged(style, 5.0),
                )
                ends[name] = (place[drawn[-1].bits or 0], 100 * drawn[-1].mean)
        axes.set_xticks(range(len(widths)), [str(bits) for bits in widths])
        axes.grid(False, axis="x")
        axes.set_xlabel("bits of a weight")
        axes.set_ylabel("average accuracy (%)")
        label_ends(axes, ends, styles, _LABEL)
        return to_svg(axes, key, [styles[name] for name in series])
