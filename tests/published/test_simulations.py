"""The simulations of docs/statistics.md are those of their file, and repeat."""

from __future__ import annotations

import numpy as np
import pytest


def test_the_page_has_the_tables_of_the_file() -> None:
    from simulations import PAGE, written

    text = PAGE.read_text("utf-8")
    assert written(text) == text, "run python docs/simulations.py"


def test_a_row_repeats() -> None:
    from simulations import covered, read

    row = next(row for row in read() if row["of"] == "coverage" and row["pairs"] == "5")
    assert [float(row["share"]), float(row["other"])] == pytest.approx(covered(5), abs=1e-9)


def test_intervals_cover_the_mean_and_claims_are_rare() -> None:
    from simulations import TABLES, read

    limit = 0.05 + 3 * np.sqrt(0.05 * 0.95 / TABLES)
    for row in read():
        share = float(row["share"])
        if row["of"] == "coverage":
            assert 0.93 < share < 0.97
        elif row["methods"] != "4":  # where the t test is known to fail, as the page says
            assert float(row["other"]) <= share <= limit
