"""The record of a run: its rows put together, and the numbers that follow from them."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from cl_strategies.errors import UserError
from cl_strategies.errors.boundary import Boundary
from cl_strategies.errors.failure import Failure
from cl_strategies.experiment.config.run_config import ExperimentConfig
from cl_strategies.experiment.directory.rows import COLUMNS, accuracy_matrix, exemplar_columns
from cl_strategies.experiment.engine.next_parts import online_metrics
from cl_strategies.plugins.metrics import functional
from cl_strategies.plugins.quantization.calibrated_copy import evaluated_model
from cl_strategies.plugins.quantization.conversion.model_size import storage
from cl_strategies.results.record import RunRecord

if TYPE_CHECKING:
    from cl_strategies.experiment.engine.training import Training


def failed_record(
    config: ExperimentConfig, training: Training | None, failure: Failure
) -> RunRecord:
    """Return the record of a failure, with the rows so far if their strategy still answers."""
    with suppress(Failure, UserError), Boundary():
        record = run_record(config, training, failure)
        RunRecord.from_dict(record.to_dict())
        return record
    return run_record(config, None, failure)


def run_record(
    config: ExperimentConfig, training: Training | None, failure: Failure | None
) -> RunRecord:
    rows = training.rows if training else []
    order = list(training.info.task_order) if training else []
    copies = training is None or not training.evaluation.refuted
    matrix = accuracy_matrix(rows, len(order), copies=copies)
    columns = {key: [row[key] for row in rows] for key in COLUMNS}
    return RunRecord(
        status="failed" if failure else "finished",
        error=failure.to_dict() if failure else None,
        config=config.to_dict(),
        config_hash=config.hash,
        task_order=order,
        accuracy_matrix=[[_number(value) for value in row] for row in matrix],
        seconds={"train": columns["train_seconds"], "evaluation": columns["evaluation_seconds"]},
        bytes={
            "parameters": columns["parameter_bytes"],
            "method_state": columns["method_state_bytes"],
        },
        memory={"peak": columns["peak_memory_bytes"]},
        exemplars=exemplar_columns(rows),
        identity=training.identity if training else None,
        metrics={} if failure or not training else _metrics(training, matrix, columns),
    )


def _metrics(
    training: Training, matrix: np.ndarray, columns: dict[str, list[float]]
) -> dict[str, float | None]:
    strategy = training.strategy
    sizes = storage(evaluated_model(strategy))
    found = {**sizes, **_trace_metrics(training), **online_metrics(training.rows)}
    return summarize(matrix, columns) | {name: _number(value) for name, value in found.items()}


def _trace_metrics(training: Training) -> dict[str, float]:
    """Return the numbers of evaluations during training; none if there were none."""
    if training.trace is None:
        return {}
    seconds = sum(row.get("trace_seconds", 0.0) for row in training.rows)
    cost = {"trace_cost": training.trace.cost, "trace_seconds": seconds}
    return training.trace.metrics() | cost


def summarize(matrix: np.ndarray, columns: dict[str, list[float]]) -> dict[str, float | None]:
    """Return the numbers of a finished run; ``None`` where a metric is undefined."""
    values = {
        "average_accuracy": functional.average_accuracy(matrix),
        "average_incremental_accuracy": functional.average_incremental_accuracy(matrix),
        "backward_transfer": functional.backward_transfer(matrix),
        "forgetting": functional.forgetting(matrix),
        "relative_forgetting": functional.forgetting(matrix, relative=True),
        "learning_accuracy": functional.learning_accuracy(matrix),
        "accuracy_spread": functional.accuracy_spread(matrix),
        "train_seconds": sum(columns["train_seconds"]),
        "parameter_bytes": columns["parameter_bytes"][-1],
        "method_state_bytes": columns["method_state_bytes"][-1],
    }
    return {name: _number(value) for name, value in values.items()}


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
