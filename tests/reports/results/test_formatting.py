from __future__ import annotations

import itertools
import math

import pytest

from cl_strategies.reports.plots.svg import spread
from cl_strategies.results.formatting import listing, show, show_with_spread


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.9349, "fraction", "93.5 %"),
        (-0.1234, "fraction", "\u221212.3 %"),
        (-0.00001, "fraction", "0.0 %"),
        (math.nan, "fraction", "\u2013"),
        (9.126, "seconds", "9.13 s"),
        (600.0, "seconds", "10.0 min"),
        (7200.0, "seconds", "2.00 h"),
        (0.0, "bytes", "0 B"),
        (512.0, "bytes", "512 B"),
        (1.5 * 2**20, "bytes", "1.50 MiB"),
        (2.0 * 2**40, "bytes", "2\u202f048 GiB"),
    ],
)
def test_numbers_are_readable(value: float, unit: str, text: str) -> None:
    assert show(value, unit).replace("\u00a0", " ") == text


def test_a_column_keeps_one_unit() -> None:
    assert show(30.0, "seconds", largest=600.0, symbol=False) == "0.5"


def test_unknown_spread_is_left_out() -> None:
    assert show_with_spread(0.5, math.nan, "fraction") == "50.0\u00a0%"
    assert show_with_spread(0.5, 0.01, "fraction").replace("\u00a0", " ") == "50.0 ± 1.0 %"


def test_names_are_listed_as_in_a_sentence() -> None:
    assert [listing(names) for names in (["a"], ["a", "b"], ["a", "b", "c"])] == [
        "a",
        "a and b",
        "a, b and c",
    ]


def test_labels_keep_their_distance_order_and_bounds() -> None:
    wanted = [50.0, 49.0, 98.0, 99.0, 51.0, 1.0]
    placed = spread(wanted, 5.0, 0.0, 100.0)
    ranked = sorted(range(len(wanted)), key=wanted.__getitem__)
    assert sorted(range(len(placed)), key=placed.__getitem__) == ranked
    gaps = [placed[b] - placed[a] for a, b in itertools.pairwise(ranked)]
    assert min(gaps) >= 5.0 - 1e-9
    assert min(placed) >= 0.0 and max(placed) <= 100.0
    assert placed[5] == 1.0
