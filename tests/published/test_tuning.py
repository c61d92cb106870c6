"""Tuning of the published reports: the best setting is never at the end of its grid."""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from pathlib import Path

import pytest

PUBLISHED = Path(__file__).parents[2] / "reports" / "published"
Setting = tuple[dict[str, float], float]


def settings(text: str) -> dict[str, float]:
    """The numbers of a setting by their names."""
    found = {}
    for part in text.replace(";", ",").split(","):
        name, _, value = part.strip().partition("=")
        try:
            found[name] = float(value)
        except ValueError:
            continue  # a word is on no scale
    return found


def groups(path: Path) -> dict[str, list[Setting]]:
    """What was tried for each benchmark and strategy, with accuracies; diverged ones have none."""
    found: dict[str, list[Setting]] = defaultdict(list)
    with path.open() as file:
        for row in csv.DictReader(file):
            accuracy = float(row["mean_average_accuracy"] or "nan")
            found[f"{row['benchmark']}, {row['strategy']}"].append(
                (settings(row["settings"]), accuracy)
            )
    return found


@pytest.mark.parametrize("path", PUBLISHED.glob("*/tuning.csv"), ids=lambda path: path.parent.name)
def test_the_best_setting_is_not_at_the_end_of_its_grid(path: Path) -> None:
    """Below zero there is nothing to try, and a strength of zero is another method."""
    at_the_end = []
    for name, tried in groups(path).items():
        measured = [(accuracy, values) for values, accuracy in tried if not math.isnan(accuracy)]
        for key in {key for values, _ in tried for key in values}:
            grid = sorted({values[key] for values, _ in tried if key in values})
            candidates = [pair for pair in measured if pair[1].get(key)]
            highest = max(accuracy for accuracy, _ in candidates)
            best = {values[key] for accuracy, values in candidates if accuracy == highest}
            if len(grid) > 1 and best <= {grid[0], grid[-1]}:
                at_the_end.append((name, key, best))
    assert not at_the_end
