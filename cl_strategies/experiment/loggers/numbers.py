"""The numbers that are logged of a run, by name."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from cl_strategies.experiment.directory.rows import COLUMNS, accuracy_matrix
from cl_strategies.plugins.metrics import functional


def numbers_after(rows: Sequence[Mapping[str, Any]], experiences: int) -> dict[str, float]:
    """Return what is known after the last of ``rows``: accuracies on each experience and their
    averages so far, and costs.

    :param experiences: in the stream.
    """
    last = rows[-1]
    seen = last["experience"] + 1
    matrix = accuracy_matrix([dict(row) for row in rows], experiences)[:seen, :seen]
    digits = len(str(experiences - 1))
    found = {
        f"test/accuracy/experience-{position:0{digits}}": value
        for position, value in enumerate(last["accuracy"])
        if value is not None
    }
    found |= {
        "test/average_accuracy": functional.average_accuracy(matrix),
        "test/average_incremental_accuracy": functional.average_incremental_accuracy(matrix),
        "test/forgetting": functional.forgetting(matrix),
        "test/backward_transfer": functional.backward_transfer(matrix),
    }
    found |= {f"cost/{key}": last[key] for key in COLUMNS if last[key] is not None}
    return defined(found)


def defined(numbers: Mapping[str, float | None]) -> dict[str, float]:
    """Return those that are numbers: what is undefined is left out."""
    return {
        name: float(value)
        for name, value in numbers.items()
        if value is not None and not math.isnan(value)
    }
