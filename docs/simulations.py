"""Simulate how often the words of a table are wrong: ``python docs/simulations.py``.

Writes ``reports/published/statistics/simulated.csv`` and the tables of docs/statistics.md. All
methods are equal, so that every claim is wrong.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from measured import PUBLISHED, ROOT, filled

from cl_strategies.statistics import best, t_interval

CSV = PUBLISHED / "statistics" / "simulated.csv"
PAGE = ROOT / "docs" / "statistics.md"
TABLES, INTERVALS, RESAMPLES = 2_000, 20_000, 2_000
Floats = npt.NDArray[np.float64]
Draw = Callable[[np.random.Generator, tuple[int, int]], Floats]

#: What the scores of equal methods (methods, pairs) spread by.
NOISES: dict[str, Draw] = {
    "normal": lambda generator, shape: generator.normal(0, 0.01, shape),
    "log-normal": lambda generator, shape: 0.01 * np.exp(generator.normal(0, 0.7, shape)),
    "t, 3 df": lambda generator, shape: 0.01 * generator.standard_t(3, shape),
    "100 test samples": lambda generator, shape: generator.binomial(100, 0.8, shape) / 100,
    "two values": lambda generator, shape: 0.5 * generator.integers(0, 2, shape),
}
SHAPES = ((2, 3), (2, 5), (3, 5), (8, 10), (4, 2), (4, 3), (4, 4))


def wrong(methods: int, pairs: int, noise: str) -> tuple[float, float]:
    """Return the share of tables with a claim, and with one method called best."""
    generator = np.random.default_rng([methods, pairs, *noise.encode()])
    words = []
    for _ in range(TABLES):
        cells = 0.7 + generator.normal(0, 0.05, pairs)
        scores = cells + NOISES[noise](generator, (methods, pairs))
        found = best({str(i): row for i, row in enumerate(scores)})
        words.append(set(found.words.values()))
    claims = np.mean([each != {"cannot be told apart"} for each in words])
    return float(claims), float(np.mean(["best" in each for each in words]))


def covered(pairs: int) -> tuple[float, float]:
    """Return how often a 95 % t interval, and one of the bootstrap's, has the mean."""
    generator = np.random.default_rng(pairs)
    values = generator.normal(0, 1, (INTERVALS, pairs))
    low, high = t_interval(values)
    inside = []
    for row in values[: INTERVALS // 10]:
        means = row[generator.integers(0, pairs, (RESAMPLES, pairs))].mean(axis=1)
        low_, high_ = np.quantile(means, [0.025, 0.975])
        inside.append(low_ <= 0 <= high_)
    return float(((low <= 0) & (high >= 0)).mean()), float(np.mean(inside))


def rows() -> Iterator[dict[str, Any]]:
    """What is simulated, row by row."""
    for methods, pairs in SHAPES:
        for noise in NOISES if methods != 4 else ["two values"]:
            claims, best_ = wrong(methods, pairs, noise)
            yield {"of": "claims", "methods": methods, "pairs": pairs, "noise": noise} | {
                "share": claims,
                "other": best_,
            }
    for pairs in (3, 5, 10, 20):
        t, bootstrap = covered(pairs)
        yield {"of": "coverage", "methods": "", "pairs": pairs, "noise": "normal"} | {
            "share": t,
            "other": bootstrap,
        }


def read() -> list[dict[str, str]]:
    """The rows of ``simulated.csv``."""
    with CSV.open(newline="") as file:
        return list(csv.DictReader(file))


def written(page: str) -> str:
    """Return the page with its tables."""
    tables = {"simulated": _claims(), "covered": _coverage()}
    return filled(page, tables, lambda name, _: tables[name])


def _claims() -> str:
    lines = [f"| methods, pairs | {' | '.join(NOISES)} |", "|---|" + "---:|" * len(NOISES)]
    found: dict[tuple[str, str], dict[str, str]] = {}
    for row in read():
        if row["of"] == "claims":
            cell = f"{100 * float(row['share']):.1f} ({100 * float(row['other']):.1f})"
            found.setdefault((row["methods"], row["pairs"]), {})[row["noise"]] = cell
    for (methods, pairs), cells in found.items():
        values = " | ".join(cells.get(noise, "") for noise in NOISES)
        lines.append(f"| {methods}, {pairs} | {values} |")
    return "\n".join(lines) + "\n"


def _coverage() -> str:
    rows_ = [row for row in read() if row["of"] == "coverage"]
    lines = [f"| pairs | {' | '.join(row['pairs'] for row in rows_)} |"]
    lines.append("|---|" + "---:|" * len(rows_))
    for name, key in (("t interval", "share"), ("bootstrap interval", "other")):
        cells = " | ".join(f"{100 * float(row[key]):.1f}" for row in rows_)
        lines.append(f"| {name} | {cells} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    CSV.parent.mkdir(parents=True, exist_ok=True)
    with CSV.open("w", newline="") as file:
        table = csv.DictWriter(
            file, ["of", "methods", "pairs", "noise", "share", "other"], lineterminator="\n"
        )
        table.writeheader()
        table.writerows(rows())
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
