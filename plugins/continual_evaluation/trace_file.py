"""A trace as a file of plain vectors, ``trace.npz``.

``numpy.load(path, allow_pickle=False)`` reads it, too: a vector for each name of
:data:`~cl_strategies.plugins.continual_evaluation.trace.WHERE`, ``correct`` row by row (-1 where
not evaluated), ``order``, ``totals`` and ``subsets`` one after the other, ``dense`` and ``every``
by experience.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cl_strategies.io.arrays import PackedArrays, packed
from cl_strategies.io.atomic import atomic_write
from cl_strategies.io.bounded import read_regular
from cl_strategies.plugins.continual_evaluation.trace import WHERE, Trace

FILE = "trace.npz"
#: Numbers that the table of counts, or the indices of all samples, may have.
LIMIT = 2**24
_KINDS = ("<i8",)
_NAMES = frozenset({*WHERE, "correct", "order", "totals", "subsets", "dense", "every", "zero_shot"})


def write_trace(path: Path, trace: Trace) -> None:
    """Write ``trace``, atomically; the same bytes for the same numbers.

    :raises StorageError: if it cannot be written.
    """
    schedules = np.array(trace.schedules, dtype=np.int64).reshape(-1, 2)
    vectors = {name: trace.column(name) for name in WHERE} | {
        "correct": trace.table().ravel(),
        "order": _vector(trace.order),
        "totals": _vector(trace.totals),
        "subsets": _vector([index for indices in trace.subsets for index in indices]),
        "dense": schedules[:, 0],
        "every": schedules[:, 1],
        "zero_shot": _vector([int(trace.zero_shot)]),
    }
    with atomic_write(path) as file:
        file.write(packed(vectors))


def read_trace(path: Path) -> Trace:
    """Read what :func:`write_trace` wrote.

    :raises OSError: if the file cannot be read.
    :raises ValueError: if it is damaged, too large, or no trace.
    """
    arrays = PackedArrays(read_regular(path))
    arrays.only(_NAMES)
    order = arrays.vector("order", _KINDS, None, LIMIT)
    columns = len(order)
    where = [arrays.vector(WHERE[0], _KINDS, None, LIMIT // max(1, columns))]
    points = len(where[0])
    where += [arrays.vector(name, _KINDS, points, points) for name in WHERE[1:]]
    correct = arrays.vector("correct", _KINDS, points * columns, LIMIT)
    totals = arrays.vector("totals", _KINDS, columns, columns)
    if (totals < 1).any() or (totals > LIMIT).any() or totals.sum() > LIMIT:
        raise ValueError("it has test sets without samples, or with too many")
    subsets = arrays.vector("subsets", _KINDS, int(totals.sum()), LIMIT)
    plans = [arrays.vector(name, _KINDS, columns, columns) for name in ("dense", "every")]
    return Trace.checked(
        {
            "order": order.tolist(),
            "subsets": [p.tolist() for p in np.split(subsets, np.cumsum(totals))[:columns]],
            "where": np.stack(where, axis=1).tolist(),
            "correct": correct.reshape(points, columns).tolist(),
            "schedules": np.stack(plans, axis=1).tolist(),
            "zero_shot": bool(arrays.vector("zero_shot", _KINDS, 1, 1)[0]),
        }
    )


def _vector(values: list[int]) -> np.ndarray:
    return np.array(values, dtype=np.int64)
