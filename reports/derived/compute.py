"""The metrics of one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from cl_strategies.errors import UserError
from cl_strategies.plugins.metrics import functional
from cl_strategies.plugins.metrics.functional.accuracy_matrix import matrix_metrics
from cl_strategies.plugins.metrics.functional.matrix.forward import ZERO_SHOT_GAPS
from cl_strategies.reports.derived import references as others
from cl_strategies.reports.derived.keys import definition, unit
from cl_strategies.results.derived import DerivedMetric
from cl_strategies.results.predictions.reader import RunPredictions, StoredSamples
from cl_strategies.results.record import RunRecord

_FORWARD = ("fwt_next", "fwt_upper_raw", "fwt_upper_minus_baseline")
_WEIGHTED = ("acc_weighted", "aia_weighted", "aia_weighted_without_first")
_COMPARED = {
    **dict.fromkeys(("fwt_isolated_from_second", "fwt_isolated_all"), others.ALONE),
    **dict.fromkeys(("intransigence_last", "hat_ratio", "omega_base", "omega_all"), others.JOINT),
    **dict.fromkeys(
        ("relative_time", "time_normalized_accuracy", "memory_normalized_accuracy"), others.PLAIN
    ),
}
Values = dict[str, Any]


def compute(
    keys: Sequence[str],
    record: RunRecord,
    predictions: RunPredictions | None,
    why_none: str,
    found: Mapping[str, RunRecord],
) -> dict[str, DerivedMetric]:
    """Return metrics by key, with the reason where one is undefined.

    :param keys: which of :data:`~cl_strategies.reports.derived.keys.KEYS`.
    :param record: a finished run.
    :param predictions: its records; ``None`` if there are none that can be used.
    :param why_none: in words why not.
    :param found: the runs to compare with, by strategy.
    """
    values, reasons = _of_matrix(record, predictions, found)
    values |= _of_costs(record, found)
    reasons |= {key: others.missing(s) for key, s in _COMPARED.items() if s not in found}
    count = len(record.task_order)
    counts = dict.fromkeys(values, count)
    wanted = [key for key in keys if definition(key).group == "predictions"]
    if predictions is None:
        reasons |= dict.fromkeys((*_FORWARD, *_WEIGHTED, *wanted), why_none)
    elif wanted:
        try:
            new, more = _of_predictions(predictions, wanted)
        except UserError as error:
            new, more = {}, dict.fromkeys(wanted, str(error))
        values |= new
        reasons |= more
        counts |= dict.fromkeys(wanted, int(predictions.sizes.sum()))
    return {
        key: _metric(key, values.get(key), reasons.get(key), counts.get(key, 0)) for key in keys
    }


def _metric(key: str, value: Any, reason: str | None, n: int) -> DerivedMetric:
    found, plain = definition(key), _plain(value)
    empty = plain is None or (isinstance(plain, list) and not any(v is not None for v in plain))
    return DerivedMetric(
        value=None if empty else plain,
        unit=unit(key),
        direction=found.direction,
        n=n,
        undefined_reason=(reason or found.undefined) if empty else None,
        definition_version=found.version,
    )


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, np.ndarray | list):
        return [_plain(item) for item in np.asarray(value).tolist()]
    return None if np.isnan(value) else float(value)


def _of_matrix(
    record: RunRecord, predictions: RunPredictions | None, found: Mapping[str, RunRecord]
) -> tuple[Values, dict[str, str]]:
    compared, reasons = others.matrix_references(found), {}
    compared["random"] = None if predictions is None else _chance(record, predictions)
    sizes = None if predictions is None else predictions.sizes.tolist()
    values: Values = matrix_metrics(record.matrix, sizes=sizes, **compared)
    gap = None if predictions is None else ZERO_SHOT_GAPS.get(predictions.manifest.setting, "")
    if predictions is not None and gap is None:
        known = np.where(np.isnan(record.matrix), predictions.accuracy, record.matrix)
        start = predictions.initial
        values |= {
            key: functional.forward_transfer(known, start, variant=key.removeprefix("fwt_"))
            for key in _FORWARD
        }
        reasons["fwt_next"] = "a row of accuracies before training is not stored"
        reasons |= dict.fromkeys(
            _FORWARD[1:],
            "runs evaluate the next experience before it is trained, not all later ones",
        )
    else:
        values |= dict.fromkeys(_FORWARD)
        reasons |= dict.fromkeys(_FORWARD, gap or "the setting of the stream is not known")
    return values, reasons


def _chance(record: RunRecord, predictions: RunPredictions) -> Any:
    """Return the accuracies of guessing (T,): one of the classes that compete."""
    if predictions.manifest.competing != "task":
        return np.full(len(record.task_order), 1 / max(predictions.manifest.classes, 1))
    stream = predictions.stream
    classes = [len(np.unique(stream.label[stream.experience == k])) for k in record.task_order]
    return 1 / np.maximum(classes, 1)


def _of_costs(record: RunRecord, found: Mapping[str, RunRecord]) -> Values:
    plain = found.get(others.PLAIN)
    if plain is None:
        return {}
    accuracy = functional.average_accuracy(record.matrix)
    seconds = [run.metric("train_seconds") for run in (record, plain)]
    sizes = [
        run.metric("parameter_bytes") + run.metric("method_state_bytes") for run in (record, plain)
    ]
    return {
        "relative_time": functional.relative_time(*seconds),
        "time_normalized_accuracy": functional.time_normalized_accuracy(accuracy, *seconds),
        "memory_normalized_accuracy": functional.memory_normalized_accuracy(accuracy, *sizes),
    }


def _of_predictions(
    predictions: RunPredictions, wanted: Sequence[str]
) -> tuple[Values, dict[str, str]]:
    """:raises UserError: if the last row is not stored whole, or forged."""
    last = len(predictions.order) - 1
    final = predictions.samples(last)
    y, p = final.label, final.prediction
    values: Values = {
        "final_accuracy_pooled": float((y == p).mean()) if len(y) else None,
        "mean_class_accuracy": functional.mean_class_accuracy(y, p),
        "class_accuracy": functional.class_accuracy(y, p),
        "experience_accuracy": predictions.accuracy[last],
    }
    tasks = predictions.manifest.task_of_class
    reasons: dict[str, str] = {}
    if tasks is None:
        told = predictions.manifest.competing == "task"
        why = "the task of a sample is told" if told else "experiences share their classes"
        reasons |= {key: why for key in wanted if key not in values and not _calibrates(key)}
    else:
        values |= _between_tasks(final, tasks, last)
        if "recency_bias_after_row" in wanted:
            values["recency_bias_after_row"] = _recency_curve(predictions, tasks)
    if final.confidence is None:
        reasons |= {key: "confidences did not fit the limit" for key in wanted if _calibrates(key)}
    else:
        values |= _calibration(final, last, wanted)
    return values, reasons


def _between_tasks(final: StoredSamples, tasks: Sequence[int], last: int) -> Values:
    y, p = final.label, final.prediction
    errors = asdict(functional.task_confusion_errors(y, p, tasks, task_aware=final.task_aware))
    recency = asdict(functional.recency_shares(y, p, tasks, last=last))
    matrix = {"task_confusion_matrix": functional.task_confusion_matrix(y, p, tasks)}
    return errors | recency | matrix if -1 not in tasks else errors | recency


def _recency_curve(predictions: RunPredictions, tasks: Sequence[int]) -> list[float | None]:
    curve: list[float | None] = []
    for t in range(len(predictions.order)):
        try:
            row = predictions.samples(t)
        except UserError:
            curve.append(None)
            continue
        found = functional.recency_shares(row.label, row.prediction, tasks, last=t)
        curve.append(found.recency_bias)
    return curve


def _calibrates(key: str) -> bool:
    return key.startswith(("ece", "overconfidence", "brier"))


def _calibration(final: StoredSamples, last: int, wanted: Sequence[str]) -> Values:
    confidence, right = final.confidence, final.label == final.prediction
    groups = {"": slice(None), "_old": final.experience < last, "_new": final.experience == last}
    values: Values = {}
    for name, group in groups.items():
        c, r = np.asarray(confidence)[group], right[group]
        values[f"ece{name}"] = functional.expected_calibration_error(c, r)
        values[f"overconfidence{name}"] = functional.overconfidence(c, r)
    values["ece_adaptive"] = functional.expected_calibration_error(confidence, right, adaptive=True)
    values["brier_top_label"] = functional.brier_top_label(confidence, right)
    if "ece_floor" in wanted:
        values["ece_floor"] = functional.calibration_floor(confidence)
    return values
