"""Evaluations during training, as the mean over the runs of a strategy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cl_strategies.plugins.continual_evaluation.trace import Trace
from cl_strategies.reports.analysis.curves import Array


@dataclass(frozen=True, kw_only=True)
class TraceCurves:
    """The accuracies of one strategy at the points of its training.

    :param steps: iterations done at each point (M,).
    :param accuracies: on each task (M, N), in [0, 1]; NaN where not evaluated.
    :param ends: iterations done at the end of each task (T,).
    """

    steps: Array
    accuracies: Array
    ends: Array


def mean_curves(traces: Sequence[Trace]) -> TraceCurves | None:
    """Return the mean over traces with the same points; of the first alone, if they differ.

    :param traces: of the runs of one strategy on one benchmark.
    :returns: ``None`` if there is no point.
    """
    measured = [trace for trace in traces if trace.after_updates.any()]
    if not measured:
        return None
    first = measured[0]
    alike = [trace for trace in measured if trace.where == first.where]
    steps = first.steps
    return TraceCurves(
        steps=steps.astype(np.float64),
        accuracies=np.mean([trace.points for trace in alike], axis=0),
        ends=steps[first.last_points].astype(np.float64),
    )
