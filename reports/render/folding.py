"""How many figures a page shows at once."""

from __future__ import annotations

MOST_FIGURES = 12
"""Figures that are open; more lie in folds, which a click opens."""


class Folding:
    """Count the figures of a page in its order."""

    def __init__(self) -> None:
        self._drawn = 0

    def open(self, figures: int = 1) -> bool:
        """Count ``figures`` more, and return whether they are still among the first."""
        self._drawn += figures
        return self._drawn <= MOST_FIGURES
