"""Metrics for all runs of a folder: computed, written beside each run, and put into reports."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cl_strategies.errors import UserError
from cl_strategies.io.links import check_no_link
from cl_strategies.reports.derived.compute import compute
from cl_strategies.reports.derived.keys import KEYS, checked, remember
from cl_strategies.reports.derived.own_metrics import OwnMetric, find_metric
from cl_strategies.reports.derived.references import References, fingerprints
from cl_strategies.reports.reading.collection import Problem, Run, checked_folder, collect
from cl_strategies.results.derived import DerivedMetric, DerivedMetrics, fingerprint, read_derived
from cl_strategies.results.metrics import METRICS
from cl_strategies.results.predictions.reader import RunPredictions, read_predictions
from cl_strategies.results.record import RunRecord


@dataclass(frozen=True, kw_only=True)
class RunMetrics:
    """What was computed for one run.

    :ivar directory: name of its directory.
    :ivar record: its result.
    :ivar metrics: by key.
    :ivar problem: why its predictions were not used, ``""`` if they were.
    """

    directory: str
    record: RunRecord
    metrics: dict[str, DerivedMetric]
    problem: str


def add_metrics(folder: Path | str, names: Sequence[Any]) -> list[RunMetrics]:
    """Compute metrics of every finished run from its records, and write them to ``metrics.json``.

    Those that stand there are computed again beside the new ones; the user's own stay as they are.

    :param folder: what ``--out`` of ``run`` or ``compare`` was.
    :param names: keys, or ``all``; functions of a run, ``module:attribute`` of one, or names of
        entry points (:mod:`cl_strategies.reports.derived.own_metrics`).
    :raises UserError: for an unknown name, if there are no runs, a function of the user's own
        fails, or a file cannot be written.
    """
    keys, own = split(names)
    out = checked_folder("folder", folder)
    runs = [run for run in collect(out).runs if run.record.finished]
    references = References(run.record for run in runs)
    new = [{metric.key: metric.of(run.record) for metric in own} for run in runs]
    return [_of_run(out, run, references, keys, mine) for run, mine in zip(runs, new, strict=True)]


def split(names: Sequence[Any]) -> tuple[list[str], list[OwnMetric]]:
    """Return keys and the user's own metrics.

    :raises UserError: for a name that is neither.
    """
    found = [(name, find_metric(name)) for name in names]
    return checked([name for name, own in found if own is None]), [m for _, m in found if m]


def _of_run(
    out: Path,
    run: Run,
    references: References,
    keys: Sequence[str],
    own: Mapping[str, DerivedMetric],
) -> RunMetrics:
    directory = out / "runs" / run.directory
    check_no_link(directory)
    before = _known(directory, run.record)
    wanted = [key for key in KEYS if key in keys or key in before]
    predictions: RunPredictions | None = None
    problem = ""
    try:
        predictions = read_predictions(out, directory, run.record)
    except UserError as error:
        problem = str(error).replace(f"{out}{os.sep}", "")
    found = references.of(run.record)
    kept = {key: metric for key, metric in before.items() if key not in KEYS}
    metrics = {**compute(wanted, run.record, predictions, problem, found), **kept, **own}
    if metrics:
        DerivedMetrics(
            result=fingerprint(run.record),
            predictions="" if predictions is None else predictions.manifest.checksum,
            references=fingerprints(found),
            metrics=metrics,
        ).write(directory)
    return RunMetrics(directory=run.directory, record=run.record, metrics=metrics, problem=problem)


def _known(directory: Path, record: RunRecord) -> Mapping[str, DerivedMetric]:
    """Return what is in ``metrics.json``; nothing if it is of no use, as it is written anew."""
    try:
        found = read_derived(directory, record)
    except UserError:
        return {}
    return {} if found is None else found.metrics


def with_derived(out: Path, run: Run) -> tuple[Run, Problem | None]:
    """Return a run whose record has the numbers of its ``metrics.json``, and what is wrong with it.

    What a result says itself stays as it is; lists and tables are left out.
    """
    directory = out / "runs" / run.directory
    try:
        found = read_derived(directory, run.record)
    except UserError as error:
        file = f"runs/{run.directory}/metrics.json"
        message = str(error).replace(f"{directory / 'metrics.json'}: ", "")
        return run, Problem(file=file, message=message)
    if found is None:
        return run, None
    numbers = {
        key: metric.value
        for key, metric in found.metrics.items()
        if (key in KEYS or key not in METRICS) and isinstance(metric.value, int | float)
    }
    for key in numbers.keys() - set(KEYS):
        remember(key, found.metrics[key])
    record = replace(run.record, metrics={**numbers, **run.record.metrics})
    return replace(run, record=record), None
