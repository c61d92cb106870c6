"""Exported files in onnxruntime: what they compute, and how long that takes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from cl_strategies.errors import UserError
from cl_strategies.errors.failure import named

#: Timed runs of each file, in turns; fewer if they take longer than that many seconds in all.
REPEATS, LEAST_REPEATS, SECONDS = 60, 7, 8.0

Array = npt.NDArray[Any]


class Session:
    """A file that onnxruntime has loaded, on one thread.

    :param path: an ONNX file.
    :raises UserError: if onnxruntime is not installed, or cannot load the file.
    """

    def __init__(self, path: Path) -> None:
        self._runtime = onnxruntime()
        options = self._runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = self._runtime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its own types, which depend on the version
            raise UserError(f"onnxruntime cannot load {path.name} ({named(error)})") from error
        self._input = self._session.get_inputs()[0].name

    def __call__(self, x: Array) -> Array:
        """Return the logits ``(N, C)`` of inputs ``(N, ...)``."""
        logits: Array = self._session.run(None, {self._input: x})[0]
        return logits

    @property
    def runtime(self) -> str:
        """Name and version of the runtime."""
        return f"onnxruntime {self._runtime.__version__}"


def onnxruntime() -> Any:
    """Import onnxruntime when it is needed.

    :raises UserError: if it is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError(
            "checking an exported file needs the package onnxruntime: pip install onnxruntime, or "
            "leave --check out"
        ) from error
    return onnxruntime


def times_in_turns(sessions: Mapping[str, Session], x: Array) -> dict[str, list[float]]:
    """Return the seconds that each session takes for ``x``, repeat by repeat.

    In each repeat every session runs once, so that what else the machine does meets all alike.
    """
    for session in sessions.values():
        session(x)
    found: dict[str, list[float]] = {name: [] for name in sessions}
    began = time.perf_counter()
    for number in range(REPEATS):
        if number >= LEAST_REPEATS and time.perf_counter() - began > SECONDS:
            break
        for name, session in sessions.items():
            start = time.perf_counter()
            session(x)
            found[name].append(time.perf_counter() - start)
    return found


def speedup(slow: list[float], fast: list[float]) -> float:
    """Return the median over repeats of the ratio ``slow / fast``."""
    return float(median(np.divide(slow, fast)))
