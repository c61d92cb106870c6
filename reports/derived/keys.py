"""Which metrics can be computed from the records of a run, and what they are."""

from __future__ import annotations

from cl_strategies.errors import UserError, unknown_name
from cl_strategies.plugins.metrics.functional.definitions import DEFINITIONS, Definition
from cl_strategies.results.derived import DerivedMetric
from cl_strategies.results.metrics import METRICS, OWN, Metric, describe

_MATRIX = (
    "acc",
    "acc_weighted",
    "aia",
    "aia_weighted",
    "aia_without_first",
    "aia_weighted_without_first",
    "acc_lower_triangle",
    "learning_accuracy",
    "accuracy_spread",
    "min_row_accuracy_final",
    "bwt",
    "bwt_all_rows",
    "bwt_plus_all_rows",
    "rem_all_rows",
    "forgetting_max_before_last",
    "forgetting_max_from_own",
    "forgetting_first_minus_last",
    "forgetting_max_all_rows",
    "forgetting_relative",
    "forgetting_after_row",
    "fwt_next",
    "fwt_upper_raw",
    "fwt_upper_minus_baseline",
    "fwt_isolated_from_second",
    "fwt_isolated_all",
    "intransigence",
    "intransigence_mean",
    "intransigence_last",
    "hat_ratio",
    "stability_final_old",
    "retention_ratio",
    "stability_plasticity_harmonic",
    "omega_base",
    "omega_new",
    "omega_all",
)
_PREDICTIONS = (
    "final_accuracy_pooled",
    "mean_class_accuracy",
    "class_accuracy",
    "experience_accuracy",
    "within_task_error",
    "inter_task_error",
    "task_prediction",
    "within_task_prediction",
    "task_aware_accuracy",
    "task_confusion_cost",
    "pure_task_confusion",
    "both_errors",
    "task_confusion_matrix",
    "share_predicted_last_task",
    "recency_bias",
    "recency_bias_after_row",
    "old_samples_to_last_task",
    "share_of_inter_task_errors_to_last",
    "ece",
    "ece_old",
    "ece_new",
    "ece_adaptive",
    "ece_floor",
    "overconfidence",
    "overconfidence_old",
    "overconfidence_new",
    "brier_top_label",
)
_COSTS = ("relative_time", "time_normalized_accuracy", "memory_normalized_accuracy")
_ACRONYMS = {"acc", "aia", "bwt", "ece", "fwt", "hat", "rem"}
#: What can be computed, in the order of a list.
KEYS = (*_MATRIX, *_PREDICTIONS, *_COSTS)

_HIGHER_IS_BETTER = {"higher": True, "lower": False}
_NO_SAMPLES = "no samples"
_SHARED = "tasks share classes; no samples"
_MORE = (
    ("experience_accuracy", "higher", "accuracy on each test experience, last row", _NO_SAMPLES),
    (
        "task_confusion_matrix",
        "none",
        "samples by the task of their label (rows) and of their prediction, last row",
        _SHARED,
    ),
    ("recency_bias_after_row", "zero", "recency_bias after every row", _SHARED),
    ("ece_old", "lower", "ece of the samples of all experiences but the last", "a single task"),
    ("ece_new", "lower", "ece of the samples of the last experience", _NO_SAMPLES),
    ("overconfidence_old", "zero", "overconfidence on all experiences but the last", "as ece_old"),
    ("overconfidence_new", "zero", "overconfidence on the last experience", _NO_SAMPLES),
)
_NUMBERS = {
    "retention_ratio",
    "hat_ratio",
    "omega_base",
    "omega_all",
    "relative_time",
    "time_normalized_accuracy",
    "memory_normalized_accuracy",
}


def definition(key: str) -> Definition:
    """Return what a metric is."""
    if key in DEFINITIONS:
        return DEFINITIONS[key]
    name, direction, meaning, undefined = next(row for row in _MORE if row[0] == key)
    return Definition("predictions", name, "", direction, meaning, undefined, "", 1)


def unit(key: str) -> str:
    """Return ``"fraction"``, ``"number"`` or ``"count"``."""
    if key == "task_confusion_matrix":
        return "count"
    return "number" if key in _NUMBERS else "fraction"


def checked(names: list[str]) -> list[str]:
    """Return the keys among ``names`` once each, in the order of :data:`KEYS`; ``all`` is all.

    :raises UserError: for a name that is none.
    """
    for name in names:
        if name != "all" and name not in KEYS:
            raise _unknown(name)
    return [key for key in KEYS if key in names or "all" in names]


def _unknown(name: str) -> UserError:
    if name in DEFINITIONS:
        return UserError(
            f"{name} does not follow from the records of runs: {DEFINITIONS[name].group} metrics "
            "of this kind are computed while a run trains, or from several runs"
        )
    return unknown_name("metric", name, KEYS)


def columns() -> tuple[str, ...]:
    """Return the names of all metrics that a table may have, in their order."""
    return tuple(dict.fromkeys((*METRICS, *KEYS, *OWN)))


def remember(key: str, metric: DerivedMetric) -> None:
    """Let a metric of the user's own be shown as it says itself."""
    OWN[key] = Metric(
        name=key,
        title=_title(key),
        unit="fraction" if metric.unit == "fraction" else "number",
        higher_is_better=_HIGHER_IS_BETTER.get(metric.direction),
        meaning=metric.meaning or "A metric of the user's own.",
    )


def _title(name: str) -> str:
    words = [word.upper() if word in _ACRONYMS else word for word in name.split("_")]
    return " ".join([words[0][:1].upper() + words[0][1:], *words[1:]])


def presentation(name: str) -> Metric:
    """Return how a metric of a report is shown, also one that was added later."""
    if name in METRICS or name not in KEYS:
        return describe(name)
    found = definition(name)
    return Metric(
        name=name,
        title=_title(name),
        unit="fraction" if unit(name) == "fraction" else "number",
        higher_is_better=_HIGHER_IS_BETTER.get(found.direction),
        meaning=f"{found.meaning}.",
        source=found.source,
    )
