"""What the metrics of an accuracy matrix take: matrices, rows beside them, sizes of test sets."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from cl_strategies.errors import UserError

Matrix = npt.NDArray[np.float64]


def as_matrix(values: Any) -> Matrix:
    """Copy ``values`` to a two-dimensional float64 array with NaN for every gap.

    :param values: list of lists with ``None``, numpy array or torch tensor.
    :raises UserError: if ``values`` is ragged, empty, not two-dimensional, or holds an infinite
        or negative number.
    """
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    try:
        matrix = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"an accuracy matrix must be a table of numbers with rows of equal length "
            f"(None or NaN where nothing was measured): {error}"
        ) from None
    if matrix.ndim != 2 or matrix.size == 0:
        raise UserError(
            f"an accuracy matrix has two dimensions, rows (after training t) and columns (test "
            f"experience i), and at least one entry; got shape {matrix.shape}"
        )
    if np.isinf(matrix).any() or (matrix < 0).any():
        raise UserError("accuracies must be finite and not negative (None or NaN for a gap)")
    return matrix


def as_vector(values: Any, name: str) -> Matrix:
    """Copy a number or a list of numbers to a float64 vector with NaN for every gap.

    :param name: what to call ``values`` in messages.
    :raises UserError: if it is neither, or holds an infinite or negative number.
    """
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    try:
        vector = np.atleast_1d(np.array(values, dtype=np.float64))
    except (TypeError, ValueError):
        vector = np.empty((0, 0))
    if vector.ndim != 1:
        raise UserError(
            f"{name} must be a list of numbers (None or NaN where nothing was measured); got "
            f"{_short(values)}"
        )
    if np.isinf(vector).any() or (vector < 0).any():
        raise UserError(f"{name} must be finite and not negative (None or NaN for a gap)")
    return vector


def as_row(values: Any, length: int, name: str) -> Matrix:
    """Copy the first ``length`` of ``values`` to a float64 vector with NaN for every gap.

    :param name: what to call ``values`` in messages.
    :raises UserError: if there are fewer than ``length``; see :func:`as_vector`.
    """
    row = as_vector(values, name)
    if len(row) < length:
        raise UserError(
            f"{name} must have at least {length} numbers, one for each experience (None or NaN "
            f"where nothing was measured); got {_short(values)}"
        )
    return row[:length]


def as_number(value: Any, name: str) -> float:
    """Return ``value`` as a float, NaN for ``None``.

    :raises UserError: if it is not a number, infinite or negative.
    """
    vector = as_vector(value, name)
    if len(vector) != 1:
        raise UserError(f"{name} must be a number; got {_short(value)}")
    return float(vector[0])


def as_weights(sizes: Any, columns: int) -> Matrix:
    """Return the weight of each column: its size, or 1 where ``sizes`` is ``None``.

    :raises UserError: unless there is a positive number for each of ``columns`` columns.
    """
    weights = np.ones(columns) if sizes is None else np.asarray(sizes, dtype=np.float64)
    if weights.shape != (columns,) or not np.all(np.isfinite(weights) & (weights > 0)):
        raise UserError(
            f"sizes must be {columns} positive numbers, one for each column of the accuracy "
            f"matrix; got {np.asarray(sizes).tolist()}"
        )
    return weights


def as_fractions(matrix: Matrix, metric: str) -> Matrix:
    """Return ``matrix``, whose entries are fractions.

    :raises UserError: if one is above 1: ``metric`` compares accuracies with 1.
    """
    if (matrix > 1).any():
        raise UserError(
            f"{metric} compares accuracies with 1 and needs fractions in [0, 1]; got "
            f"{np.nanmax(matrix):g}: divide percentages by 100"
        )
    return matrix


def one_of(value: str, allowed: Iterable[str], name: str = "variant") -> str:
    """Return ``value``.

    :raises UserError: if it is none of ``allowed``.
    """
    known = list(allowed)
    if value not in known:
        raise UserError(f"{name} must be one of {', '.join(map(repr, known))}; got {value!r}")
    return value


def _short(values: Any) -> str:
    text = repr(values)
    return text if len(text) <= 80 else text[:77] + "..."
