"""Evaluations during training, as the mean over the runs of a strategy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cl_strategies.plugins.continual_evaluation.trace import Trace
from cl_strategies.reports.analysis.curves.experiences import Array


@dataclass(frozen=True, kw_only=True)
class TraceCurves:
    """The accuracies of one strategy at the points of its training.

    :param progress: tasks trained at each point (M,): 1.5 is half of the iterations of the second.
    :param accuracies: on each task (M, N), in [0, 1]; NaN where not evaluated.
    """

    progress: Array
    accuracies: Array


def mean_curves(traces: Sequence[Trace]) -> TraceCurves | None:
    """Return the mean over traces with the same points; of the first alone, if they differ.

    :param traces: of the runs of one strategy on one benchmark.
    :returns: ``None`` if there is no point.
    """
    measured = [trace for trace in traces if trace.after_updates.any()]
    if not measured:
        return None
    progress = [_progress(trace) for trace in measured]
    alike = [
        trace.points
        for trace, own in zip(measured, progress, strict=True)
        if np.array_equal(own, progress[0])
    ]
    return TraceCurves(progress=progress[0], accuracies=np.mean(alike, axis=0))


def _progress(trace: Trace) -> Array:
    after = trace.after_updates
    position, iteration = trace.column("experience")[after], trace.column("iteration")[after]
    last = np.array(iteration[trace.last_points])
    return np.asarray(position + iteration / last[position])
