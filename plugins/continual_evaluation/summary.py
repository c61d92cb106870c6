"""The numbers of a trace."""

from __future__ import annotations

import math

from cl_strategies.plugins.continual_evaluation.trace import Trace
from cl_strategies.plugins.metrics import functional


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
    iterations = steps.tolist()
    curves = trace.curves
    values = (
        functional.min_acc(points, last),
        functional.wc_acc(points, last),
        functional.windowed_forgetting(points, window, last, iterations=iterations),
        functional.windowed_plasticity(points, window, last, iterations=iterations),
        functional.average_anytime_accuracy(points, last),
        functional.average_anytime_accuracy_by_iteration(points, last, iterations),
        functional.stability_gap_mean_drop(points, last),
        functional.stability_gap_mean_permanent(points, last),
        functional.stability_gap_mean_transient(points, last),
        functional.stability_gap_worst_transient(points, last),
        functional.stability_gap_mean_recovery_iterations(points, last, iterations),
        functional.learning_curve_area(curves, beta) if trace.zero_shot else math.nan,
        functional.learning_curve_area(curves, beta, include_zero_shot=False),
        functional.learning_curve_by_iteration(points, last, iterations),
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
