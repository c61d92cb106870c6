"""Verdicts on the papers' claims, and that the pages have those of the published reports."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.parametrize(
    ("claim", "mean", "low", "high", "word"),
    [
        ({"is": "above"}, 3.0, 1.0, 5.0, "holds"),
        ({"is": "above"}, 3.0, -1.0, 7.0, "holds in direction"),
        ({"is": "above"}, 0.4, -1.0, 1.8, "does not show here"),
        ({"is": "above"}, -3.0, -5.0, -1.0, "does not show here"),
        ({"is": "below"}, -3.0, -5.0, -1.0, "holds"),
        ({"is": "below"}, -3.0, -7.0, 1.0, "holds in direction"),
        ({"is": "below"}, 3.0, 1.0, 5.0, "does not show here"),
        ({"is": "level", "within": 2.0}, 0.5, -1.0, 1.5, "holds"),
        ({"is": "level", "within": 2.0}, 0.5, -3.0, 3.5, "holds in direction"),
        ({"is": "level", "within": 2.0}, 2.5, 1.0, 4.0, "does not show here"),
    ],
)
def test_a_verdict_is_that_of_the_interval(
    claim: dict[str, Any], mean: float, low: float, high: float, word: str
) -> None:
    from claims import _verdict

    assert _verdict(claim, mean, low, high) == word


def test_the_pages_have_the_tables_of_the_published_reports() -> None:
    from claims import PAGES, written

    for page in PAGES.values():
        text = page.read_text("utf-8")
        assert "verdict" in text
        assert written(text) == text, f"run python docs/claims.py: {page.name} is out of date"


def test_every_claim_is_tested_or_says_what_it_needs() -> None:
    from claims import claims

    known = {"paper", "claim", "published", "reports", "of", "is", "over", "metric", "streams"}
    known |= {"within", "matters", "needs", "recipe", "limit"}
    for claim in claims():
        assert set(claim) <= known, claim
        assert ("needs" in claim) != ("reports" in claim), claim
