"""One run: train experience by experience, record, checkpoint, resume."""

from __future__ import annotations

import logging
import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cl_strategies.errors import DataMissingError, StorageError, UserError
from cl_strategies.experiment.boundary import Boundary, ours
from cl_strategies.experiment.build import build_benchmark, build_model, build_strategy
from cl_strategies.experiment.checkpoint import REMEDY, load_checkpoint, save_checkpoint
from cl_strategies.experiment.config import ExperimentConfig
from cl_strategies.experiment.environment import describe_environment, joined, resolve_device
from cl_strategies.experiment.evaluation import Evaluation
from cl_strategies.experiment.failure import Failure, describe, named
from cl_strategies.experiment.identity import (
    Identities,
    Told,
    continued,
    identity_of_training,
    read_not_computed,
)
from cl_strategies.experiment.pictures import exemplar_numbers, write_pictures
from cl_strategies.experiment.portable import kernels
from cl_strategies.experiment.rerun import ask, conclude, last_stamp, place_of
from cl_strategies.experiment.rowlog import RowLog
from cl_strategies.experiment.rows import COLUMNS, accuracy_matrix, exemplar_columns
from cl_strategies.experiment.rundir import RunDirectory
from cl_strategies.experiment.seeding import derive_seed, isolated_rng, seed_everything
from cl_strategies.experiment.state import (
    capture_with_bytes,
    check_resumable,
    restore_state,
    state_bytes,
)
from cl_strategies.plugins import AccuracyMatrix, LeanEvaluationPlugin
from cl_strategies.plugins.metrics import functional
from cl_strategies.plugins.metrics.resources import PeakMemory, parameter_bytes
from cl_strategies.plugins.quantization.storage import storage
from cl_strategies.reports.schema import RunRecord

logger = logging.getLogger(__name__)

#: Called with (experiences done, experiences in all) at the start and after each experience.
Progress = Callable[[int, int], None]


def run(
    config: ExperimentConfig,
    out: str | Path,
    *,
    progress: Progress | None = None,
    wait: bool = True,
    repeat: int | None = None,
    rerun: bool = False,
    told: Told | None = None,
) -> RunRecord:
    """Do the run that ``config`` describes, or what is left of it.

    A finished run is not repeated, an interrupted one continues after its last finished
    experience with the same numbers as if it had not been interrupted. A run that diverges or
    fails is recorded with its reason, and returned like any other.

    A run that was done with other data is no answer. One that was done by other code is; it is
    said what differs (:mod:`cl_strategies.experiment.identity`).

    :param out: the run directory becomes ``out/runs/<slug>``.
    :param progress: told after each experience. What it raises ends the run, and is raised.
    :param wait: for another process that is doing this run.
    :param repeat: the stamp (:meth:`~cl_strategies.experiment.rundir.RunDirectory.stamp`) of a
        failure to try again; the one that is there now, if not given.
    :param rerun: do a finished run again, from its first experience; the old result is there
        until the new one is (:mod:`cl_strategies.experiment.rerun`).
    :param told: what is to be known of a result that is read and not computed; logged, if not
        given: as a warning if anything differs.
    :raises RunBusyError: if another process is doing this run, and ``wait`` is false.
    :raises DataMissingError: if its data are not here, or damaged; this is recorded, too.
    :raises UserError: for bad input: an option out of range, a damaged checkpoint, a folder
        that cannot be written to, a portable run in a process that cannot do one; for a run that
        was done, or begun, with other data.
    """
    if rerun:
        ask([config], out)
    directory = RunDirectory(out, config)
    repeat = last_stamp(config, out) if repeat is None else repeat
    with directory.owned(wait=wait):
        directory = place_of(out, config)
        done = directory.outcome(repeat=repeat)
        if done is not None:
            _tell(directory, done, told)
            return done
        training: _Training | None = None
        with isolated_rng(), torch_threads(config.run.threads), kernels(config.run.portable):
            try:
                with Boundary():
                    training = _Training(config, directory)
                    training.proceed(_as_ours(progress))
                    record = _record(config, training, None)
            except DataMissingError as reason:
                conclude(directory, out, _failed(config, training, describe(reason)))
                raise
            except StorageError:
                raise
            except UserError as reason:
                if training is None:
                    raise  # of the configuration or the checkpoint
                record = _failed(config, training, describe(reason))
            except Failure as reason:
                record = _failed(config, training, reason)
        if record.error is not None and record.error["kind"] == "error":
            logger.warning("%s failed: %s", config.slug, record.error["message"])
        return conclude(directory, out, record)


def _tell(directory: RunDirectory, done: RunRecord, told: Told | None) -> None:
    """:raises UserError: if the run was done with other data."""
    difference = Identities().difference(directory, done)
    text = read_not_computed(directory, done, difference)
    if told is not None:
        told(text)
    else:
        level = logging.WARNING if difference else logging.INFO
        logger.log(level, "%s: %s", directory.config.slug, text)


def abandon(
    config: ExperimentConfig, out: str | Path, reason: str, *, repeat: int | None = None
) -> None:
    """Record that a run ended with its process, which left neither a result nor a traceback.

    :param repeat: as for :func:`run`.
    :raises RunBusyError: if another process is doing this run by now.
    :raises UserError: if the result cannot be written, or the one there is damaged.
    """
    directory = RunDirectory(out, config)
    repeat = last_stamp(config, out) if repeat is None else repeat
    with directory.owned(wait=False):
        directory = place_of(out, config)
        if directory.outcome(repeat=repeat) is None:
            failure = Failure("error", reason, "(the process left none)")
            conclude(directory, out, _failed(config, None, failure))


def _as_ours(progress: Progress | None) -> Progress:
    """What the caller's own ``progress`` raises is no failure of the run."""

    def tell(done: int, total: int) -> None:
        with ours():
            if progress is not None:
                progress(done, total)

    return tell


class _Training:
    """The objects of one run and the rows recorded so far."""

    def __init__(self, config: ExperimentConfig, directory: RunDirectory) -> None:
        self.config = config
        self.directory = directory
        device = resolve_device(config.run.device)
        self.benchmark = build_benchmark(config.benchmark)
        self.info = self.benchmark.info
        seed_everything(derive_seed(config.run.seed, "initialisation"))
        matrix = AccuracyMatrix()
        self.strategy = build_strategy(
            config,
            self.info,
            build_model(config, self.info),
            device=device,
            evaluator=_quiet_evaluator(matrix),
        )
        self.evaluation = Evaluation(
            self.strategy,
            matrix,
            self.benchmark.test_stream,
            every=config.run.evaluate_every,
            seed=config.run.seed,
        )
        self.resumable = True
        with self._told():
            check_resumable(self.strategy)
        self.log = RowLog(directory.metrics)
        self.environments = [describe_environment(device)]
        self.identity = identity_of_training(config, self.benchmark, self.strategy)
        if not (os.path.exists(directory.checkpoint) and self._resume(device)):
            self.log.clear()
        directory.describe(self.environments)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """What was measured, an entry for each experience trained."""
        return self.log.rows

    def _resume(self, device: str) -> bool:
        """Whether there are rows that the checkpoint continues."""
        path = self.directory.checkpoint
        state = load_checkpoint(path, device=device)
        if state.get("config_hash") != self.config.hash:
            raise UserError(f"the checkpoint {path} belongs to another configuration: {REMEDY}")
        before = state.get("identity")
        if self.directory.again and before != self.identity.to_dict():
            return False  # what was asked for is the run of now
        try:
            self.log.restore(state.get("rows"), len(self.benchmark.train_stream))
        except FileNotFoundError:
            logger.warning(
                "%s starts again from its first experience: %s is not there, and its checkpoint "
                "continues the rows in it",
                self.config.slug,
                self.log.path,
            )
            return False
        except UserError:
            raise
        except ValueError as error:
            raise _unfit(path, error) from error
        same = before == self.identity.to_dict()
        self.identity = continued(before, path, self.identity, logger.warning)
        try:
            seen = self.benchmark.train_stream[: self.rows[-1]["experience"] + 1]
            restore_state(self.strategy, state["strategy"], experiences_seen=list(seen))
            self.environments = joined(state["environments"], self.environments[0])
            self.evaluation.resume(
                self.rows,
                refuted=state["copies_refuted"],
                elsewhere=not same or state["environments"][-1:] != self.environments[-1:],
            )
        except Exception as error:  # it is whole, so someone has made it so; of any shape
            raise _unfit(path, error) from error
        return True

    def proceed(self, progress: Progress) -> None:
        """Train and evaluate what is left of the stream."""
        total = len(self.benchmark.train_stream)
        start = self.rows[-1]["experience"] + 1 if self.rows else 0
        progress(start, total)
        joint = getattr(self.strategy, "trains_jointly", False)
        for position in [total - 1] if joint and not start else range(start, total):
            data = self.benchmark.train_stream
            self._experience(position, list(data) if joint else data[position])
            progress(position + 1, total)
        self.rows[-1] = self.evaluation.closing(self.rows[-1])
        last = self.benchmark.train_stream[total - 1].dataset
        with torch.random.fork_rng(devices=[]):
            write_pictures(self.strategy, last, self.directory.path)

    def _experience(self, position: int, data: Any) -> None:
        # Seeded anew, an experience draws the same numbers whether or not the run was
        # interrupted before it.
        seed_everything(derive_seed(self.config.run.seed, "experience", position))
        memory = PeakMemory(self.strategy.device)
        memory.reset()
        began = time.perf_counter()
        self.strategy.train(data)
        trained = time.perf_counter()
        peak = memory.bytes()
        evaluated = self.evaluation.after(position)
        row = {
            "experience": position,
            **evaluated,
            "train_seconds": trained - began,
            "evaluation_seconds": time.perf_counter() - trained,
            "parameter_bytes": parameter_bytes(self.strategy.model),
            "peak_memory_bytes": peak,
        }
        if (exemplars := exemplar_numbers(self.strategy)) is not None:
            row["exemplars"] = exemplars
        state = None
        if self.resumable:
            with self._told():
                state, row["method_state_bytes"] = capture_with_bytes(self.strategy)
        if state is None:
            row["method_state_bytes"] = state_bytes(self.strategy)
        self.log.append(row)  # before the checkpoint that counts it
        if state is not None:
            self._save(state)

    def _save(self, strategy_state: dict[str, Any]) -> None:
        state = {
            "config_hash": self.config.hash,
            "identity": self.identity.to_dict(),
            "rows": self.log.mark(),
            "environments": self.environments,
            "strategy": strategy_state,
            "copies_refuted": self.evaluation.refuted,
        }
        with ours(KeyboardInterrupt):
            save_checkpoint(self.directory.checkpoint, state)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """The user is told that a strategy cannot be captured, and training goes on."""
        try:
            yield
        except UserError as reason:
            self.resumable = False
            logger.warning(
                "%s cannot be continued if it is interrupted, and would start again: %s",
                self.config.slug,
                reason,
            )


def _unfit(path: Path, error: Exception) -> UserError:
    return UserError(f"the checkpoint {path} does not fit this run ({named(error)}): {REMEDY}")


def _quiet_evaluator(matrix: AccuracyMatrix) -> LeanEvaluationPlugin:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="No loggers specified")
        return LeanEvaluationPlugin(matrix, collect_all=False)  # what nobody reads


def _failed(config: ExperimentConfig, training: _Training | None, failure: Failure) -> RunRecord:
    """With the rows so far, if what they were taken from still answers."""
    with suppress(Failure, UserError), Boundary():
        record = _record(config, training, failure)
        RunRecord.from_dict(record.to_dict())
        return record
    return _record(config, None, failure)


def _record(
    config: ExperimentConfig, training: _Training | None, failure: Failure | None
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
    training: _Training, matrix: np.ndarray, columns: dict[str, list[float]]
) -> dict[str, float | None]:
    sizes = storage(training.strategy.model)
    return summarise(matrix, columns) | {name: _number(size) for name, size in sizes.items()}


def summarise(matrix: np.ndarray, columns: dict[str, list[float]]) -> dict[str, float | None]:
    """The numbers of a finished run; ``None`` where a metric is undefined."""
    values = {
        "average_accuracy": functional.average_accuracy(matrix),
        "average_incremental_accuracy": functional.average_incremental_accuracy(matrix),
        "backward_transfer": functional.backward_transfer(matrix),
        "forgetting": functional.forgetting(matrix),
        "relative_forgetting": functional.forgetting(matrix, relative=True),
        "learning_accuracy": functional.learning_accuracy(matrix),
        "train_seconds": sum(columns["train_seconds"]),
        "parameter_bytes": columns["parameter_bytes"][-1],
        "method_state_bytes": columns["method_state_bytes"][-1],
    }
    return {name: _number(value) for name, value in values.items()}


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Compute with ``count`` CPU threads: sums depend on it in their last bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
