"""The runs of a folder that another one is compared with: same stream, order, seed and network."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from cl_strategies.results.derived import fingerprint
from cl_strategies.results.record import RunRecord

#: Strategies that serve: trained on each experience alone, on all at once, and plainly.
ALONE, JOINT, PLAIN = "single-task", "joint", "naive"
_TABLES = ("benchmark", "model", "train")
_WHERE = ("data_root", "cache_bytes")
Vector = npt.NDArray[np.float64]


class References:
    """The finished reference runs of a folder.

    :param records: all of them.
    """

    def __init__(self, records: Iterable[RunRecord]) -> None:
        self._found: dict[tuple[str, str], RunRecord] = {}
        for record in records:
            serves = record.finished and record.strategy in (ALONE, JOINT, PLAIN)
            if serves and "quantization" not in record.config:
                self._found.setdefault((record.strategy, _setting(record.config)), record)

    def of(self, record: RunRecord) -> dict[str, RunRecord]:
        """Return the reference runs for ``record``, by strategy."""
        setting = _setting(record.config)
        found = {name: self._found.get((name, setting)) for name in (ALONE, JOINT, PLAIN)}
        return {name: other for name, other in found.items() if other is not None}


def missing(strategy: str) -> str:
    """In words that there is no run to compare with."""
    return (
        f"no finished {strategy} run in this folder with the same benchmark, order, seed, model "
        "and training"
    )


def matrix_references(found: Mapping[str, RunRecord]) -> dict[str, Any]:
    """Return what :func:`matrix_metrics` compares with, as far as there are runs.

    A joint run is trained on all experiences, so that it is a joint model of the last one only.
    """
    values: dict[str, Any] = {}
    if ALONE in found:
        values["isolated"] = np.diagonal(found[ALONE].matrix)
    if JOINT in found:
        last: Vector = found[JOINT].matrix[-1]
        values["joint_final"] = last
        values["joint"] = np.where(np.arange(len(last)) == len(last) - 1, last, np.nan)
        values["offline"] = float(last.mean())
    return values


def fingerprints(found: Mapping[str, RunRecord]) -> dict[str, str]:
    """Return which results were compared with."""
    return {name: fingerprint(record) for name, record in found.items()}


def _setting(config: Mapping[str, Mapping[str, Any]]) -> str:
    tables: dict[str, Any] = {
        name: {key: value for key, value in config.get(name, {}).items() if key not in _WHERE}
        for name in _TABLES
    }
    return json.dumps([tables, config["run"]["seed"]], sort_keys=True, default=str)
