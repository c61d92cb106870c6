"""What a method costs after each task of the stream: what it stores, how long it trains, and
how much memory that takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from cl_strategies.reports.analysis.grouping import Group
from cl_strategies.results.fields import LARGEST
from cl_strategies.results.record import RunRecord

Series = npt.NDArray[np.float64]
SINGLE = "single-task"


def stored(record: RunRecord, network_bytes: float | None = None) -> Series:
    """Model and method state after each task, relative to one network (T,).

    1 is the network alone. Empty where it was not recorded after every task.

    :param network_bytes: of the network; ``None``: those of the model after the first task.
    """
    model, state = record.bytes.get("parameters", ()), record.bytes.get("method_state", ())
    network, method = _complete(model, record), _complete(state, record)
    if len(network) != len(method) or not len(network):
        return np.empty(0)
    unit = network[0] if network_bytes is None else network_bytes
    if not unit or (network + method).max() > LARGEST * min(unit, 1.0):
        return np.full(len(network), math.nan)
    whole: Series = (network + method) / unit
    return whole


def network_bytes(groups: Sequence[Group]) -> float | None:
    """Return the bytes of a network with one head: ``single-task``'s after its first task, or
    ``None`` without that strategy.

    :param groups: the strategies on one benchmark.
    """
    for group in groups:
        for record in group.finished if group.records[0].strategy == SINGLE else ():
            sizes = _complete(record.bytes.get("parameters", ()), record)
            if len(sizes) and sizes[0]:
                return float(sizes[0])
    return None


def cumulative_seconds(record: RunRecord) -> Series:
    """Seconds of training up to and including each task (T,); empty where not recorded."""
    return _complete(record.seconds.get("train", ()), record).cumsum()


def peak_bytes(record: RunRecord) -> Series:
    """Largest memory while each task was trained (T,); empty where not recorded."""
    return _complete(record.memory.get("peak", ()), record)


def growth_curves(groups: Sequence[Group]) -> dict[str, Series]:
    """:func:`stored` of each strategy on one benchmark, mean over its runs."""
    return _curves(groups, stored)


def time_ratio_curves(groups: Sequence[Group]) -> tuple[dict[str, Series], bool]:
    """Return training time up to each task, relative to what a network of its own needs for the
    first.

    :param groups: the strategies on one benchmark.
    :return: the curves, and whether that network is the one of ``single-task``; without that
        strategy each curve is relative to its own first task.
    """
    curves = _curves(groups, cumulative_seconds)
    alone = next((g.strategy for g in groups if g.records[0].strategy == SINGLE), None)
    if alone in curves:
        first = curves[alone][0]
        return _relative(curves, {name: first for name in curves}), True
    return _relative(curves, {name: values[0] for name, values in curves.items()}), False


def peak_curves(groups: Sequence[Group]) -> dict[str, Series]:
    """:func:`peak_bytes` of each strategy on one benchmark, mean over its runs."""
    return _curves(groups, peak_bytes)


def _complete(values: Sequence[float | None], record: RunRecord) -> Series:
    if len(values) != len(record.task_order) or any(value is None for value in values):
        return np.empty(0)
    return np.array(values, dtype=np.float64)


def _curves(groups: Sequence[Group], series: Callable[[RunRecord], Series]) -> dict[str, Series]:
    curves: dict[str, Series] = {}
    for group in groups:
        runs = [series(record) for record in group.finished]
        if runs and len(runs[0]) and len({len(run) for run in runs}) == 1:
            mean = np.mean(runs, axis=0)
            if np.isfinite(mean).all() and mean[0] > 0:
                curves[group.strategy] = mean
    return curves


def _relative(curves: Mapping[str, Series], units: Mapping[str, float]) -> dict[str, Series]:
    """Curves by their unit; those with a unit of nearly nothing, which no axis holds, are left
    out."""
    return {
        name: values / units[name]
        for name, values in curves.items()
        if values.max() <= LARGEST * min(units[name], 1.0)
    }


def last_values(curves: Mapping[str, Series]) -> dict[str, float]:
    """Return the last value of each curve."""
    return {name: float(values[-1]) for name, values in curves.items()}
