"""What all figures share: style, layout of labels, and SVG that can stand inside a page."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast
from xml.sax.saxutils import escape

import matplotlib.style
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG, RendererSVG
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox, IdentityTransform, Transform

from cl_strategies.reports.plots.palette import GRID, INK, MUTED, ROLES, SURFACE, Style

POINTS = 72.0
"""Points in an inch, matplotlib's unit of length."""
_CHARACTER = 0.6
"""Mean width of a character in font sizes."""
RISE = 0.35
"""How far the middle of a digit is above its baseline, in font sizes."""
_LONGEST_LABEL, _TAIL = 32, 22
_LONG_NUMBER = re.compile(r"(\d\.\d\d)\d+")
_COORDINATES = re.compile(r' (?:d|x|y|width|height|transform)="[^"]*"')
_FROM_POINT, _FROM_LABEL = 4.0, 1.0
"""How far a leader stays from the end of its line and from its label, in points."""

_RC = {
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 8.5,
    "axes.linewidth": 0.7,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.facecolor": "none",
    "font.family": ["DejaVu Sans"],
    "font.size": 8.5,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "hatch.linewidth": 0.6,
    "savefig.facecolor": "none",
    "svg.fonttype": "none",
    "svg.hashsalt": "cl-strategies",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": MUTED,
    "xtick.labelsize": 8,
    "xtick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.color": MUTED,
    "ytick.labelsize": 8,
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
}


@contextmanager
def drawing_style() -> Iterator[None]:
    """Our style alone, whatever the user's matplotlib settings are, for the time of a block."""
    with matplotlib.style.context(["default", _RC]):
        yield


class InlineFigure(Figure):
    """A figure that a notebook shows."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        FigureCanvasAgg(self)
        width, height = self.get_size_inches()
        room = Bbox.from_extents(0, 0, width + 0.4, height)  # letters are wider than in a page
        self.savefig(buffer, format="png", dpi=144, facecolor=SURFACE, bbox_inches=room)
        return buffer.getvalue()


@dataclass(frozen=True)
class Drawing:
    """What was drawn.

    :param names: labels of the strategies in it.
    """

    axes: Axes
    names: Sequence[str] = ()

    @property
    def figure(self) -> InlineFigure:
        """The figure that the axes stand in."""
        return cast(InlineFigure, self.axes.figure)

    def svg(self, key: str, styles: Mapping[str, Style]) -> str:
        """Return :func:`to_svg` of it."""
        with drawing_style():
            return to_svg(self.axes, key, [styles[name] for name in self.names])


def new_axes(width: float, height: float, margins: tuple[float, float, float, float]) -> Axes:
    """Axes in a figure of their own.

    :param width: of the figure, in inches.
    :param height: of the figure, in inches.
    :param margins: left, right, bottom and top, in inches.
    """
    left, right, bottom, top = margins
    figure = InlineFigure(figsize=(width, height))
    FigureCanvasSVG(figure)
    return figure.add_axes(
        (
            left / width,
            bottom / height,
            1 - (left + right) / width,
            1 - (bottom + top) / height,
        )
    )


def to_svg(axes: Axes, key: str, styles: Sequence[Style] = ()) -> str:
    """Return the figure of ``axes`` as an ``<svg>`` element for a page.

    Ids get the prefix ``key``, so that figures do not disturb each other; colors become CSS
    variables with the light color as fallback; the size is left to the page.

    :param key: unique in the page; letters, digits and hyphens.
    :param styles: the strategies that are drawn.
    """
    buffer = io.StringIO()
    figure = cast(Figure, axes.figure)
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = _COORDINATES.sub(lambda match: _LONG_NUMBER.sub(r"\1", match[0]), text)
    text = re.sub(r"\s*\n\s*", "\n", text)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = text.replace("<svg", '<svg focusable="false"', 1)
    used = {*re.findall(r'url\(#([^)]+)\)|xlink:href="#([^"]+)"', text)}
    kept = {name for pair in used for name in pair} | {"figure_1"}
    text = re.sub(
        r' id="([^"]+)"', lambda match: f' id="{key}-{match[1]}"' if match[1] in kept else "", text
    )
    text = text.replace("url(#", f"url(#{key}-").replace('xlink:href="#', f'xlink:href="#{key}-')
    variables = {light: name for name, (light, _) in ROLES.items()}
    variables |= {style.light: style.variable for style in styles}
    return re.sub(
        r"(fill|stroke): (#[0-9a-f]{6})\b",
        lambda match: (
            f"{match[1]}: var(--{variables[match[2]]}, {match[2]})"
            if match[2] in variables
            else match[0]
        ),
        text,
    ).strip()


def described(svg: str, title: str, description: str) -> str:
    """Return ``svg`` as an image with a title and a description that readers of screens say."""
    key = re.search(r' id="([^"]+)"', svg)
    names = f"{key[1] if key else 'figure'}-title", f"{key[1] if key else 'figure'}-desc"
    labelled = f'<svg role="img" aria-labelledby="{names[0]} {names[1]}"'
    texts = (
        f'<title id="{names[0]}">{escape(title)}</title>'
        f'<desc id="{names[1]}">{escape(description)}</desc>'
    )
    opening = svg.index(">") + 1
    return svg[:opening].replace("<svg", labelled, 1) + texts + svg[opening:]


def shorten(label: str) -> str:
    """Return ``label``, cut where a figure has no room for more; variants differ at their ends."""
    if len(label) <= _LONGEST_LABEL:
        return label
    return f"{label[: _LONGEST_LABEL - 1 - _TAIL]}…{label[-_TAIL:]}"


class Label(Artist):
    """Text beside a point, its middle at the height of the point.

    Unlike matplotlib's, which loads the outline of every letter first, it is not measured: a
    report of many strategies has hundreds.

    :param place: the point, in the coordinates of ``transform``.
    :param anchor: ``"start"`` or ``"end"``: which end of the text is there.
    """

    def __init__(
        self,
        text: str,
        place: tuple[float, float],
        transform: Transform,
        *,
        size: float,
        anchor: str = "start",
    ) -> None:
        super().__init__()
        self.set_transform(transform)
        self.set_zorder(3)
        self._text, self._place, self._size, self._anchor = text, place, size, anchor

    def draw(self, renderer: RendererBase) -> None:
        """Write the element; matplotlib calls this."""
        x, y = self.get_transform().transform(self._place)
        if not hasattr(renderer, "writer"):  # of SVG alone
            self._outlined(x, y).draw(renderer)
            return
        svg = cast(RendererSVG, renderer)
        svg.writer.element(
            "text",
            self._text,
            x=f"{x:.2f}",
            y=f"{svg.height - y + RISE * self._size:.2f}",
            style=f"font-size: {self._size:g}px; font-family: 'DejaVu Sans'; "
            f"text-anchor: {self._anchor}; fill: {INK}",
        )

    def _outlined(self, x: float, y: float) -> Text:
        side = "left" if self._anchor == "start" else "right"
        text = Text(x, y, self._text, color=INK, fontsize=self._size, ha=side, va="center")
        text.set_figure(cast(Figure, self.get_figure()))
        text.set_transform(IdentityTransform())
        text.set_parse_math(False)
        return text


def text_width(labels: Sequence[str], size: float) -> float:
    """About how wide the longest of ``labels`` is, in inches, at ``size`` points."""
    return max((len(label) for label in labels), default=0) * size * _CHARACTER / POINTS


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Return positions near ``wanted`` that are ``gap`` apart and, if they fit, within ``low ..
    high``.

    Labels that would overlap form a block around their mean; blocks that meet are merged.

    :param wanted: wanted positions, in any order.
    :param gap: least distance of two positions.
    :return: positions in the order of ``wanted``.
    """
    order = sorted(range(len(wanted)), key=lambda i: (wanted[i], i))
    blocks: list[list[int]] = []

    def start(block: list[int]) -> float:
        length = gap * (len(block) - 1)
        center = sum(wanted[i] for i in block) / len(block)
        return max(low, min(center - length / 2, high - length))

    for i in order:
        blocks.append([i])
        while len(blocks) > 1:
            previous = blocks[-2]
            if start(previous) + gap * len(previous) <= start(blocks[-1]):
                break
            blocks[-2:] = [previous + blocks[-1]]
    placed = [0.0] * len(wanted)
    for block in blocks:
        first = start(block)
        for place, i in enumerate(block):
            placed[i] = first + gap * place
    return placed


def label_ends(
    axes: Axes, ends: Mapping[str, tuple[float, float]], styles: Mapping[str, Style], size: float
) -> None:
    """Write names to the right of the axes, moved apart where they would overlap.

    :param ends: name -> last point of its line, in data coordinates.
    :param styles: name -> its style.
    :param size: of the letters, in points.
    """
    low, high = axes.get_ylim()
    place = axes.get_position()
    width, height = (
        place.width * cast(Figure, axes.figure).get_figwidth() * POINTS,
        place.height * cast(Figure, axes.figure).get_figheight() * POINTS,
    )
    places = spread([y for _, y in ends.values()], (size + 2.4) * (high - low) / height, low, high)
    left, right = axes.get_xlim()
    to_axes = [((x - left) / (right - left), (y - low) / (high - low)) for x, y in ends.values()]
    leaders = []
    for name, (x, y), goal in zip(ends, to_axes, places, strict=True):
        goal = (goal - low) / (high - low)
        axes.add_artist(Label(shorten(name), (1.035, goal), axes.transAxes, size=size))
        long = math.hypot((1.035 - x) * width, (goal - y) * height)
        near, far = _FROM_POINT / long, 1 - _FROM_LABEL / long
        leaders.append([(x + share * (1.035 - x), y + share * (goal - y)) for share in (near, far)])
    lines = LineCollection(
        leaders,
        colors=[styles[name].light for name in ends],
        linewidths=0.9,
        transform=axes.transAxes,
        clip_on=False,
    )
    axes.add_collection(lines, autolim=False)


def edged(style: Style, size: float) -> dict[str, Any]:
    """Keywords of a filled marker with an edge in the ground's color."""
    return {
        "marker": style.marker,
        "markersize": size,
        "markerfacecolor": style.light,
        "markeredgecolor": SURFACE,
        "markeredgewidth": 0.7,
    }
