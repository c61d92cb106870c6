"""The rows of a run, one for each experience: what was measured after it."""

from __future__ import annotations

from typing import Any

import numpy as np

from cl_strategies.results.record import BOX_COLUMNS, EXEMPLAR_COLUMNS

#: Numbers of a row that stand in columns of their own in the result.
COLUMNS = (
    "train_seconds",
    "evaluation_seconds",
    "parameter_bytes",
    "method_state_bytes",
    "peak_memory_bytes",
)
#: Of an online stream: right predictions, right blind ones and samples, of the part that was
#: trained next, and of a later one.
ONLINE_COUNTS = ("right", "blind", "samples", "later_right", "later_blind", "later_samples")
_BESIDE = {"exemplars", "evaluated", "trace_seconds", "online"}
_MOST = 1e18  # bytes or seconds


def checked_rows(rows: Any, experiences: int) -> list[dict[str, Any]]:
    """Return the rows of an interrupted run, which somebody may have written by hand.

    :param experiences: in the whole stream.
    :raises ValueError: unless they can be the rows of such a stream.
    """
    positions = [row["experience"] for row in rows]
    growing = positions == sorted(set(positions)) and all(type(k) is int for k in positions)
    if not positions or not growing or not 0 <= positions[0] <= positions[-1] < experiences:
        raise ValueError(f"it has rows for the experiences {positions}")
    for row in rows:
        if not _is_row(row):
            raise ValueError(f"the row of experience {row['experience']} is not one")
    result: list[dict[str, Any]] = rows
    return result


def _is_row(row: dict[str, Any]) -> bool:
    if {*row} - _BESIDE != {"experience", "accuracy", *COLUMNS}:
        return False
    *earlier, own = row["accuracy"]
    evaluated = row.get("evaluated", [row["experience"]])
    exemplars = row.get("exemplars", dict.fromkeys(EXEMPLAR_COLUMNS, 0))
    measured = [row[key] for key in COLUMNS if key != "peak_memory_bytes" or row[key] is not None]
    return (
        len(earlier) == row["experience"]
        and all(_is_number(value, 1) for value in (*(a for a in earlier if a is not None), own))
        and evaluated == sorted({*evaluated, row["experience"]})
        and all(type(k) is int and 0 <= k <= row["experience"] for k in evaluated)
        and {*EXEMPLAR_COLUMNS} <= {*exemplars} <= {*EXEMPLAR_COLUMNS, *BOX_COLUMNS}
        and all(_is_number(exemplars.get(key, 0), 1) for key in BOX_COLUMNS)
        and all(_is_number(value, _MOST) for value in [*measured, *exemplars.values()])
        and _is_number(row.get("trace_seconds", 0), _MOST)
        and ("online" not in row or _is_online(row["online"]))
    )


def _is_online(found: dict[str, Any]) -> bool:
    counts = [found[key] for key in ONLINE_COUNTS]
    return (
        {*found} == {*ONLINE_COUNTS, "delay", "seconds"}
        and all(type(value) is int and 0 <= value <= _MOST for value in counts)
        and all(max(some) == some[2] for some in (counts[:3], counts[3:]))
        and _is_number(found["seconds"], _MOST)
        and _is_number(found["delay"] or 0, _MOST)
    )


def _is_number(value: Any, most: float) -> bool:
    return type(value) in (int, float) and 0 <= value <= most


def exemplar_columns(rows: list[dict[str, Any]]) -> dict[str, list[float]]:
    """Return the columns of a memory that is counted in bytes; none for other strategies."""
    if not rows or not all("exemplars" in row for row in rows):
        return {}
    keys = [*EXEMPLAR_COLUMNS, *BOX_COLUMNS]
    known = [key for key in keys if all(key in row["exemplars"] for row in rows)]
    return {key: [row["exemplars"][key] for row in rows] for key in known}


def accuracy_matrix(
    rows: list[dict[str, Any]], experiences: int, *, copies: bool = True
) -> np.ndarray:
    """Accuracy on each experience after each, NaN where none was measured.

    :param copies: whether accuracies that were copied from an earlier row count.
    """
    matrix = np.full((experiences, experiences), np.nan)
    for row in rows:
        values = np.array(row["accuracy"], dtype=np.float64)  # None becomes NaN
        if "evaluated" in row and not copies:
            values[np.setdiff1d(np.arange(len(values)), row["evaluated"])] = np.nan
        matrix[row["experience"], : len(values)] = values
    return matrix
