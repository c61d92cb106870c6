"""Accuracy matrices as heat maps, all on one color scale from 0 to 100 %.

A report has as many of them as strategies. They are squares and numbers, written as SVG here:
drawn by matplotlib they would take longer than everything else in the report.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_hex
from matplotlib.ticker import MaxNLocator
from PIL import Image

from cl_strategies.reports.analysis.curves.experiences import Array
from cl_strategies.reports.plots.palette import MUTED, SURFACE
from cl_strategies.reports.plots.svg import POINTS, RISE, drawing_style, new_axes, to_svg

LARGEST_WITH_VALUES = 10
"""Up to this many tasks every cell shows its number."""
COLORS = colormaps["viridis"]
_SIDE, _SMALL_SIDE, _SMALL = 3.0 * POINTS, 2.3 * POINTS, 5
_LEFT, _RIGHT, _BOTTOM, _TOP = (POINTS * margin for margin in (0.42, 0.12, 0.42, 0.06))


def matrix_svg(matrix: Array, key: str) -> str:
    """Return one heat map; cells that were not measured stay empty.

    :param matrix: accuracies in [0, 1] (T, T), row = after task t, column = test task i.
    :param key: the SVG's id.
    """
    tasks = len(matrix)
    side = _SMALL_SIDE if tasks <= _SMALL else _SIDE
    width, height = side - _LEFT - _RIGHT, side - _TOP - _BOTTOM
    cells = _numbered if tasks <= LARGEST_WITH_VALUES else _image
    parts = [
        f'<svg aria-hidden="true" focusable="false" id="{key}" viewBox="0 0 {side:g} {side:g}" '
        'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        'version="1.1" style="font-family: \'DejaVu Sans\'">',
        *cells(100 * matrix, width, height),
    ]
    for tick in _ticks(tasks):
        place = (tick - 0.5) / tasks
        x, y = _LEFT + place * width, _TOP + place * height + 8 * RISE
        parts.append(_text(str(tick), x, side - _BOTTOM + 9.6, 8, _MUTED))
        parts.append(_text(str(tick), _LEFT - 3.5, y, 8, _MUTED, anchor="end"))
    x, y = _LEFT + width / 2, _TOP + height / 2
    parts.append(_text("accuracy on task", x, side - 8.3, 8.5, _MUTED))
    parts.append(_text("after training task", 0, 0, 8.5, _MUTED, turned=(15.6, y)))
    return "\n".join([*parts, "</svg>"])


def scale_svg(key: str) -> str:
    """Return the color scale that all heat maps share."""
    with drawing_style():
        axes = new_axes(3.0, 0.5, (0.15, 0.2, 0.24, 0.06))
        axes.grid(False)
        axes.imshow(
            np.linspace(0, 1, 256)[None],
            cmap=COLORS,
            aspect="auto",
            extent=(0, 100, 0, 1),
            interpolation="none",
        )
        axes.set_yticks([])
        axes.set_xticks([0, 25, 50, 75, 100], ["0 %", "25 %", "50 %", "75 %", "100 %"])
        axes.spines[:].set_visible(False)
        return to_svg(axes, key)


_MUTED = f"var(--muted, {MUTED})"


def _ticks(tasks: int) -> list[int]:
    """Return the tasks whose numbers stand beside the axes."""
    locator = MaxNLocator(min(tasks, 10), integer=True, min_n_ticks=1)
    return [int(t) for t in locator.tick_values(0.5, tasks + 0.5) if 0.5 <= t <= tasks + 0.5]


def _numbered(percent: Array, width: float, height: float) -> Iterator[str]:
    """Return a rectangle with its number for every measured entry."""
    tasks = len(percent)
    wide, high = width / tasks, height / tasks
    size = 8.5 if tasks <= 6 else 7.0
    for (t, i), value in np.ndenumerate(percent):
        if np.isnan(value):
            continue
        red, green, blue, _ = COLORS(value / 100)
        x, y = _LEFT + i * wide, _TOP + t * high
        yield (
            f'<rect x="{x:.2f}" y="{y:.2f}" width="{wide:.2f}" height="{high:.2f}" '
            f'style="fill: {to_hex((red, green, blue))}; stroke: var(--surface, {SURFACE}); '
            'stroke-width: 0.8"/>'
        )
        text = f"{value:.1f}" if tasks <= _SMALL else f"{value:.0f}"
        ink = ink_on(value / 100)
        yield _text(text, x + wide / 2, y + high / 2 + size * RISE, size, ink)


def ink_on(share: float) -> str:
    """Return the color of a number that can be read on that of ``share`` in [0, 1]."""
    red, green, blue, _ = COLORS(share)
    bright = 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.42
    return "#101418" if bright else "#ffffff"


def _image(percent: Array, width: float, height: float) -> Iterator[str]:
    """Return a pixel for every entry, transparent where nothing was measured."""
    pixels = COLORS(np.ma.masked_invalid(percent / 100), bytes=True)
    buffer = io.BytesIO()
    Image.fromarray(pixels, "RGBA").save(buffer, format="png")
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    yield (
        f'<image x="{_LEFT:g}" y="{_TOP:g}" width="{width:g}" height="{height:g}" '
        'preserveAspectRatio="none" style="image-rendering: pixelated" '
        f'xlink:href="data:image/png;base64,{data}"/>'
    )


def _text(
    text: str,
    x: float,
    y: float,
    size: float,
    fill: str,
    *,
    anchor: str = "middle",
    turned: tuple[float, float] | None = None,
) -> str:
    """Return text on the baseline ``y``; ``turned``: upwards, from this place on."""
    place = (
        f'x="{x:.2f}" y="{y:.2f}"'
        if turned is None
        else f'transform="translate({turned[0]:.2f} {turned[1]:.2f}) rotate(-90)"'
    )
    style = f"font-size: {size:g}px; text-anchor: {anchor}; fill: {fill}"
    return f'<text {place} style="{style}">{text}</text>'
