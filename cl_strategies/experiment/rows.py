"""The rows of a run, one for each experience: what was measured after it."""

from __future__ import annotations

from typing import Any

import numpy as np

from cl_strategies.reports.schema import BOX_COLUMNS, EXEMPLAR_COLUMNS

#: Numbers of a row that stand in columns of their own in the result.
COLUMNS = (
    "train_seconds",
    "evaluation_seconds",
    "parameter_bytes",
    "method_state_bytes",
    "peak_memory_bytes",
)
_MOST = 1e18  # bytes or seconds


def checked_rows(rows: Any, experiences: int) -> list[dict[str, Any]]:
    """The rows of a checkpoint, which somebody may have written by hand.

    :param experiences: in the whole stream.
    :raises ValueError: unless they can be the rows of such a stream.
    """
    positions = [row["experience"] for row in rows]
    growing = positions == sorted(set(positions)) and all(type(k) is int for k in positions)
    if not positions or not growing or not 0 <= positions[0] <= positions[-1] < experiences:
        raise ValueError(f"it has rows for the experiences {positions}")
    for row in rows:
        row.setdefault("peak_memory_bytes", None)  # not measured by earlier releases
        if not _is_row(row):
            raise ValueError(f"the row of experience {row['experience']} is not one")
    return rows


def _is_row(row: dict[str, Any]) -> bool:
    if {*row} - {"exemplars"} != {"experience", "accuracy", *COLUMNS}:
        return False
    exemplars = row.get("exemplars", dict.fromkeys(EXEMPLAR_COLUMNS, 0))
    measured = [row[key] for key in COLUMNS if key != "peak_memory_bytes" or row[key] is not None]
    return (
        len(row["accuracy"]) == row["experience"] + 1
        and all(_is_number(value, 1) for value in row["accuracy"])
        and {*EXEMPLAR_COLUMNS} <= {*exemplars} <= {*EXEMPLAR_COLUMNS, *BOX_COLUMNS}
        and all(_is_number(exemplars.get(key, 0), 1) for key in BOX_COLUMNS)
        and all(_is_number(value, _MOST) for value in [*measured, *exemplars.values()])
    )


def _is_number(value: Any, most: float) -> bool:
    return type(value) in (int, float) and 0 <= value <= most


def exemplar_columns(rows: list[dict[str, Any]]) -> dict[str, list[float]]:
    """The columns of a memory that is counted in bytes; none for other strategies."""
    if not rows or not all("exemplars" in row for row in rows):
        return {}
    keys = [*EXEMPLAR_COLUMNS, *BOX_COLUMNS]
    known = [key for key in keys if all(key in row["exemplars"] for row in rows)]
    return {key: [row["exemplars"][key] for row in rows] for key in known}


def accuracy_matrix(rows: list[dict[str, Any]], experiences: int) -> np.ndarray:
    """Accuracy on each experience after each, NaN where none was measured."""
    matrix = np.full((experiences, experiences), np.nan)
    for row in rows:
        matrix[row["experience"], : len(row["accuracy"])] = row["accuracy"]
    return matrix
