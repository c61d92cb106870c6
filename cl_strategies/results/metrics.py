"""Every metric of the report: its name, its unit, which way is better, and what it means."""

from __future__ import annotations

from cl_strategies.results.during_training import training_metric
from cl_strategies.results.fields import LARGEST
from cl_strategies.results.metric import Metric as Metric

REFERENCE_STRATEGIES = frozenset({"joint", "cumulative", "single-task"})
"""Strategies that break a rule of continual learning (they see all data, or keep a model for
each task): bounds to compare with, never marked best."""


_SHARE = (0.0, 1.0)
_CHANGE = (-1.0, 1.0)
_AMOUNT = (0.0, LARGEST)

_ALL = (
    Metric(
        name="average_accuracy",
        title="Average accuracy",
        unit="fraction",
        bounds=_SHARE,
        higher_is_better=True,
        meaning="Accuracy on the test sets of all tasks after the last one was trained, every "
        "task counting the same.",
        formula="mean over i of A[T, i]",
        source="Lopez-Paz and Ranzato 2017, Eq. 2 (ACC)",
    ),
    Metric(
        name="average_incremental_accuracy",
        title="Avg. incremental accuracy",
        unit="fraction",
        bounds=_SHARE,
        higher_is_better=True,
        meaning="The average accuracy on the tasks seen so far, averaged over the whole stream: "
        "it rewards being good all along, not only at the end.",
        formula="mean over t of the accuracy on tasks 1 … t after task t",
        source="Rebuffi et al. 2017, Sec. 4.1",
    ),
    Metric(
        name="forgetting",
        title="Forgetting",
        unit="fraction",
        bounds=_CHANGE,
        higher_is_better=False,
        meaning="How far the accuracy of an earlier task fell below the best it ever was. Low "
        "forgetting alone proves little: a method that learns nothing forgets nothing, so read "
        "it beside the learning accuracy.",
        formula="mean over i < T of (max over t < T of A[t, i]) - A[T, i]",
        source="Chaudhry et al. 2018, Sec. 4",
    ),
    Metric(
        name="relative_forgetting",
        title="Relative forgetting",
        unit="fraction",
        bounds=(-LARGEST, 1.0),
        higher_is_better=False,
        meaning="Forgetting as a share of the best accuracy: 100 % means that all of it was lost.",
        formula="mean over i < T of (b_i - A[T, i]) / b_i, with b_i = max over t < T of A[t, i]",
        source="Chaudhry et al. 2018, each drop divided by the best accuracy",
    ),
    Metric(
        name="backward_transfer",
        title="Backward transfer",
        unit="fraction",
        bounds=_CHANGE,
        higher_is_better=True,
        meaning="How the accuracy of an earlier task changed from the moment it was learnt to the "
        "end. Negative is forgetting; positive means that later tasks helped.",
        formula="mean over i < T of A[T, i] - A[i, i]",
        source="Lopez-Paz and Ranzato 2017, Eq. 3 (BWT)",
    ),
    Metric(
        name="learning_accuracy",
        title="Learning accuracy",
        unit="fraction",
        bounds=_SHARE,
        higher_is_better=True,
        meaning="Accuracy on each task right after it was trained: the ability to learn "
        "(plasticity), whatever happens later.",
        formula="mean over i of A[i, i]",
        source="Riemer et al. 2019, Sec. 4 (LA)",
    ),
    Metric(
        name="accuracy_spread",
        title="Spread over tasks",
        unit="fraction",
        bounds=(0.0, 0.5),
        higher_is_better=False,
        meaning="Standard deviation of the final accuracies of the tasks of one run: small where "
        "no task is given up for another.",
        formula="standard deviation over i of A[T, i]",
        source="Park et al. 2019, Fig. 6",
    ),
    Metric(
        name="train_seconds",
        title="Training time",
        unit="seconds",
        bounds=_AMOUNT,
        higher_is_better=False,
        meaning="Wall-clock seconds of training over the whole stream, without evaluation. "
        "Comparable only between runs on the same, otherwise idle machine.",
        formula="sum over t of the seconds to train task t",
    ),
    Metric(
        name="parameter_bytes",
        title="Parameters",
        unit="bytes",
        bounds=_AMOUNT,
        higher_is_better=False,
        meaning="Bytes of the model's parameters at the end of the stream.",
    ),
    Metric(
        name="weight_bytes",
        title="Bits times parameters",
        unit="bytes",
        bounds=_AMOUNT,
        higher_is_better=False,
        meaning="Bits of a weight times the number of weights, over all convolutions and linear "
        "layers: what a quantized network needs for them at least.",
    ),
    Metric(
        name="packed_bytes",
        title="Packed model",
        unit="bytes",
        bounds=_AMOUNT,
        higher_is_better=False,
        meaning="Bytes of the whole quantized model with its weights packed at their bit-width: "
        "biases, BatchNorm and scales included. Not defined where a quantizer needs more levels "
        "than its bits can number.",
    ),
    Metric(
        name="method_state_bytes",
        title="Method state",
        unit="bytes",
        bounds=_AMOUNT,
        higher_is_better=False,
        meaning="Bytes that the method keeps beside the model at the end of the stream: stored "
        "examples, importance weights, copies of old models.",
    ),
    Metric(
        name="max_order_disparity",
        title="Max. order disparity",
        unit="fraction",
        bounds=_SHARE,
        higher_is_better=False,
        meaning="How much the final accuracy of the most affected task depends on the order in "
        "which the tasks came. Computed over the orders that were run (n counts orders); the "
        "average order disparity is the mean over the tasks instead of the maximum.",
        formula="max over tasks of (max - min over orders of the task's final accuracy)",
        source="Yoon et al. 2020, Sec. 4 (MOPD)",
    ),
    Metric(
        name="average_order_disparity",
        title="Avg. order disparity",
        unit="fraction",
        bounds=_SHARE,
        higher_is_better=False,
        meaning="The mean over the tasks of the spread of their final accuracy between orders.",
        formula="mean over tasks of (max - min over orders of the task's final accuracy)",
        source="Yoon et al. 2020, Sec. 4 (AOPD)",
    ),
    Metric(
        name="failure_rate",
        title="Failure rate",
        unit="fraction",
        bounds=_SHARE,
        higher_is_better=None,
        meaning="Share of the runs that failed. The other numbers are means over the finished "
        "runs only, so read them with care where this is above zero.",
        formula="failed runs / (finished + failed runs)",
    ),
)

METRICS = {metric.name: metric for metric in _ALL}
"""The known metrics by name, in the order of the report's columns."""

OWN: dict[str, Metric] = {}
"""Metrics of users' own that were read in this process, by name."""


def describe(name: str) -> Metric:
    """Return the metric ``name``; one that is not known is shown as it is, without a direction."""
    return (
        METRICS.get(name)
        or training_metric(name)
        or OWN.get(name)
        or Metric(
            name=name,
            title=name.replace("_", " ").capitalize(),
            unit="number",
            higher_is_better=None,
            meaning="Recorded by the runs; this report has no description of it.",
        )
    )
