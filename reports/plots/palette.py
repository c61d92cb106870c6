"""One color, marker and dash for each strategy in the whole report.

The colors are told apart by color-blind readers (Okabe and Ito's set, without its yellow,
and two of Paul Tol's); each has a variant for dark backgrounds. In the page every color is a
CSS variable, so that the figures follow the reader's light or dark scheme.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

INK = "#1f2429"
MUTED = "#5c6670"
GRID = "#e3e6ea"
SURFACE = "#fdfdfe"

ROLES = {
    "ink": (INK, "#e8eaed"),
    "muted": (MUTED, "#a3abb4"),
    "grid": (GRID, "#343a41"),
    "surface": (SURFACE, "#1b1e22"),
}
"""Name of the CSS variable -> its color on light and on dark ground."""

_COLORS = (
    ("#0072b2", "#4aa8e8"),
    ("#d55e00", "#f07f2e"),
    ("#009e73", "#22b88c"),
    ("#c2659a", "#d98bb8"),
    ("#4a3aa7", "#9b8cf0"),
    ("#b88a00", "#e0b030"),
    ("#882255", "#d0608f"),
    ("#3fa3d8", "#86cff5"),
)
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_DASHES: tuple[tuple[float, ...], ...] = ((), (5, 1.5), (2, 1.2), (6, 1.5, 1.5, 1.5))


@dataclass(frozen=True, kw_only=True)
class Style:
    """How one strategy is drawn.

    :param variable: name of its CSS variable.
    :param light: color on light ground, also the one matplotlib draws with.
    :param dark: color on dark ground.
    :param marker: matplotlib marker.
    :param dashes: lengths of dash and gap in line widths; empty for a solid line.
    """

    variable: str
    light: str
    dark: str
    marker: str
    dashes: tuple[float, ...] = ()

    @property
    def line(self) -> str | tuple[float, tuple[float, ...]]:
        """The line style for matplotlib."""
        return (0, self.dashes) if self.dashes else "-"


_FIXED = {
    "naive": Style(
        variable="ref-naive", light="#80868d", dark="#8b939c", marker="o", dashes=(3, 2)
    ),
    "joint": Style(
        variable="ref-joint", light="#1d2227", dark="#f0f2f4", marker="s", dashes=(3, 2)
    ),
    "cumulative": Style(
        variable="ref-cumulative", light="#3b4148", dark="#cfd4d9", marker="D", dashes=(6, 2, 1, 2)
    ),
    "single-task": Style(
        variable="ref-single", light="#6a7078", dark="#b3bac2", marker="^", dashes=(1, 1.5)
    ),
}


def assign_styles(strategies: Mapping[str, str]) -> dict[str, Style]:
    """Return a style for every label, the same whenever the same labels are given.

    :param strategies: label -> name of the strategy behind it. The references (naive, joint,
        cumulative, single-task) are grey or black and dashed; the others get a color in
        alphabetical order. Beyond eight the colors come again with other markers and dashes.
    """
    styles: dict[str, Style] = {}
    rank = 0
    for label in sorted(strategies):
        fixed = _FIXED.get(strategies[label])
        if fixed is not None and fixed not in styles.values():
            styles[label] = fixed
            continue
        lap, place = divmod(rank, len(_COLORS))
        light, dark = _COLORS[place]
        styles[label] = Style(
            variable=f"s{place}",
            light=light,
            dark=dark,
            marker=_MARKERS[(place + 3 * lap) % len(_MARKERS)],
            dashes=_DASHES[lap % len(_DASHES)],
        )
        rank += 1
    return styles
