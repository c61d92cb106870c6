"""The numbers of a trace."""

from __future__ import annotations

import math

import numpy as np

from cl_strategies.plugins.continual_evaluation.trace import Trace
from cl_strategies.plugins.metrics import functional
from cl_strategies.plugins.metrics.functional import Matrix


def trace_metrics(trace: Trace, *, window: int, beta: int) -> dict[str, float]:
    """Compute every metric of a trace; NaN where one is undefined.

    Windows are in iterations, because points lie at uneven distances. ``by_iteration`` marks means
    in which a point counts for the iterations since the one before; like ``permanent`` and
    ``recovery`` they are this package's, not a paper's.

    :param trace: with at least one point after an update, or all metrics are NaN.
    :param window: of ``wf`` and ``wp``.
    :param beta: of ``lca``.
    """
    points, last, steps = trace.points, trace.last_points, trace.steps
    names = _names(window, beta)
    if not len(points):
        return dict.fromkeys(names, math.nan)
    weights = np.diff(steps, prepend=0)
    gaps = functional.stability_gaps(points, last)
    permanent = [gap.permanent for gap in gaps]
    curves = trace.curves
    values = (
        functional.min_acc(points, last),
        functional.wc_acc(points, last),
        functional.windowed_forgetting(points, window, last, iterations=steps.tolist()),
        functional.windowed_plasticity(points, window, last, iterations=steps.tolist()),
        functional.average_anytime_accuracy(points, last),
        float(np.average(functional.anytime_seen(points, last), weights=weights)),
        functional.stability_gap_mean_drop(points, last),
        float(np.mean(permanent)) if gaps else math.nan,
        functional.stability_gap_mean_transient(points, last),
        functional.stability_gap_worst_transient(points, last),
        _recovery(trace, gaps),
        functional.learning_curve_area(curves, beta) if trace.zero_shot else math.nan,
        functional.learning_curve_area(curves, beta, include_zero_shot=False),
        _learning(trace, weights),
    )
    return dict(zip(names, values, strict=True))


def _names(window: int, beta: int) -> tuple[str, ...]:
    return (
        "min_acc",
        "wc_acc",
        f"wf_{window}_iterations",
        f"wp_{window}_iterations",
        "average_anytime_accuracy",
        "average_anytime_accuracy_by_iteration",
        "stability_gap_mean_drop",
        "stability_gap_mean_permanent",
        "stability_gap_mean_transient",
        "stability_gap_worst_transient",
        "stability_gap_mean_recovery_iterations",
        f"lca_{beta}",
        f"lca_{beta}_without_zero_shot",
        "learning_curve_by_iteration",
    )


def _recovery(trace: Trace, gaps: list[functional.StabilityGap]) -> float:
    """Iterations until an old experience is back, as the mean; 0 where it never was away."""
    after = trace.after_updates
    iteration, position = trace.column("iteration")[after], trace.column("experience")[after]
    found = []
    for gap in gaps:
        own = iteration[position == gap.new]
        if gap.recovery is None:
            return math.nan
        found.append(int(own[gap.recovery - 1]) if gap.recovery else 0)
    return float(np.mean(found)) if found else math.nan


def _learning(trace: Trace, weights: Matrix) -> float:
    """The accuracy on the experience that is trained, over its iterations, as the mean."""
    position = trace.column("experience")[trace.after_updates]
    own = trace.points[np.arange(len(position)), position]
    means = [
        np.average(own[position == k], weights=weights[position == k]) for k in np.unique(position)
    ]
    return float(np.mean(means))
