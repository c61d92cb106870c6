"""Metrics of runs that were evaluated during training: what they are.

Some have a number in their name, such as ``wf_100_iterations``.
"""

from __future__ import annotations

import re

from cl_strategies.results.fields import LARGEST
from cl_strategies.results.metric import Metric

_NUMBER = re.compile(r"\d{1,9}")
_PAPER = "De Lange et al. 2023"
_SHARE = "fraction"

_ONLINE = "Cai et al. 2021 (online accuracy)"
_LATER = "Hammoud et al. 2023 (near-future accuracy)"

#: Name with N for a number -> title, unit, whether higher is better, meaning, source.
_ROWS: dict[str, tuple[str, str, bool | None, str, str]] = {
    "online_accuracy": (
        "Online accuracy",
        _SHARE,
        True,
        "Share of the samples of the stream that were predicted right before they were trained. A "
        "class that was not trained yet counts as wrong.",
        _ONLINE,
    ),
    "online_blind_accuracy": (
        "Online accuracy, blind",
        _SHARE,
        None,
        "What the label of the newest trained sample gets as the prediction for the same samples: "
        "what the stream gives away without a look at them.",
        _LATER,
    ),
    "near_future_accuracy": (
        "Near-future accuracy",
        _SHARE,
        True,
        "The same for samples so much later in the stream that their labels cannot be guessed "
        "from the newest one.",
        _LATER,
    ),
    "near_future_blind_accuracy": (
        "Near-future accuracy, blind",
        _SHARE,
        None,
        "What the label of the newest trained sample gets for those.",
        _LATER,
    ),
    "near_future_delay": (
        "Delay (samples)",
        "number",
        None,
        "How much later these samples are at least: the smallest delay at which the blind "
        "classifier is no better than chance.",
        _LATER,
    ),
    "wc_acc": (
        "Worst-case accuracy",
        _SHARE,
        True,
        "Accuracy on the newest task at the end and min_acc, weighted 1 to the number of old "
        "tasks: what a model that may be used at any time guarantees.",
        f"{_PAPER} (WC-ACC)",
    ),
    "min_acc": (
        "Min. accuracy",
        _SHARE,
        True,
        "Lowest accuracy on each old task at any point after its training, mean over tasks.",
        f"{_PAPER} (min-ACC)",
    ),
    "wf_N_iterations": (
        "Windowed forgetting, N iterations",
        _SHARE,
        False,
        "Largest drop of accuracy within N iterations, mean over tasks. The paper's window counts "
        "evaluation points; points lie at uneven distances here.",
        f"{_PAPER} (WF)",
    ),
    "wp_N_iterations": (
        "Windowed plasticity, N iterations",
        _SHARE,
        True,
        "Largest gain of accuracy within N iterations, mean over tasks.",
        f"{_PAPER} (WP)",
    ),
    "average_anytime_accuracy": (
        "Anytime accuracy, by point",
        _SHARE,
        True,
        "Mean over the points of the mean accuracy on the tasks seen so far. It depends on where "
        "the points lie.",
        "Caccia et al. 2022 (AAA)",
    ),
    "average_anytime_accuracy_by_iteration": (
        "Anytime accuracy",
        _SHARE,
        True,
        "The same with each point counting for the iterations since the one before.",
        "",
    ),
    "stability_gap_mean_drop": (
        "Drop",
        _SHARE,
        False,
        "How far an old task falls while a new one is trained: before minus lowest, mean over all "
        "pairs of an old and a new task.",
        "",
    ),
    "stability_gap_mean_permanent": (
        "Permanent part",
        _SHARE,
        False,
        "What of that is not back at the end of the new task: before minus end.",
        "",
    ),
    "stability_gap_mean_transient": (
        "Transient part",
        _SHARE,
        False,
        "What is lost and comes back: the lower of before and end, minus lowest. It is the "
        "stability gap.",
        "",
    ),
    "stability_gap_worst_transient": (
        "Worst transient part",
        _SHARE,
        False,
        "The largest over all pairs of an old and a new task.",
        "",
    ),
    "stability_gap_mean_recovery_iterations": (
        "Recovery (iterations)",
        "number",
        False,
        "Iterations until an old task is back within one point of the lower of before and end.",
        "",
    ),
    "lca_N": (
        "Learning-curve area, N iterations",
        _SHARE,
        True,
        "Accuracy on a new task after 0, 1, ..., N iterations, mean.",
        "Chaudhry et al. 2019 (LCA)",
    ),
    "lca_N_without_zero_shot": (
        "Learning-curve area, 1 to N",
        _SHARE,
        True,
        "The same without the accuracy before the first update.",
        "Chaudhry et al. 2019 (LCA)",
    ),
    "learning_curve_by_iteration": (
        "Learning curve, mean",
        _SHARE,
        True,
        "Accuracy on the task that is trained, mean over its iterations and over tasks.",
        "",
    ),
    "trace_cost": (
        "Cost of evaluations",
        _SHARE,
        None,
        "What the evaluations cost as a share of training, counted in forward passes.",
        "",
    ),
    "online_seconds": (
        "Seconds of tests",
        "seconds",
        None,
        "Wall-clock seconds of the tests before training; no part of the training time.",
        "",
    ),
    "trace_seconds": (
        "Seconds of evaluations",
        "seconds",
        None,
        "Wall-clock seconds of the evaluations during training; no part of the training time.",
        "",
    ),
}
_LIMITS = {
    "trace_cost": (0.0, LARGEST),
    "trace_seconds": (0.0, LARGEST),
    "online_seconds": (0.0, LARGEST),
    "near_future_delay": (0.0, LARGEST),
    "stability_gap_mean_recovery_iterations": (0.0, LARGEST),
    "stability_gap_mean_drop": (-1.0, 1.0),
    "stability_gap_mean_permanent": (-1.0, 1.0),
}


def training_metric(name: str) -> Metric | None:
    """Return how a metric of an evaluation during training is shown; ``None`` for another name."""
    number = _NUMBER.search(name)
    key = _NUMBER.sub("N", name, count=1)
    if key not in _ROWS:
        return None
    title, unit, higher, meaning, source = _ROWS[key]
    given = number[0] if number else ""
    return Metric(
        name=name,
        title=re.sub(r"\bN\b", given, title),
        unit=unit,
        higher_is_better=higher,
        meaning=re.sub(r"\bN\b", given, meaning),
        source=source,
        bounds=_LIMITS.get(key, (0.0, 1.0)),
    )


def training_metrics() -> tuple[str, ...]:
    """Return the names, with N for a number, in the order of a table."""
    return tuple(_ROWS)
