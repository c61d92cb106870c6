"""The objects of one run, trained experience by experience."""

from __future__ import annotations

import logging
import os
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch

from cl_strategies.errors import UserError
from cl_strategies.errors.boundary import ours
from cl_strategies.errors.failure import named
from cl_strategies.experiment.config.run_config import ExperimentConfig
from cl_strategies.experiment.directory.row_log import RowLog
from cl_strategies.experiment.directory.run_directory import RunDirectory
from cl_strategies.experiment.engine.evaluation import Evaluation
from cl_strategies.experiment.engine.exemplar_images import exemplar_numbers, write_pictures
from cl_strategies.experiment.engine.next_parts import NextParts
from cl_strategies.experiment.engine.predictions import PredictionRecorder
from cl_strategies.experiment.engine.training_data import TrainingData
from cl_strategies.experiment.engine.watching import Watch, Watched, told_of
from cl_strategies.experiment.engine.wider_widths import (
    forget_start,
    started_from,
    train_before,
    widths_before,
)
from cl_strategies.experiment.identity.run_identity import (
    continued,
    identity_of_training,
)
from cl_strategies.experiment.loggers.run_log import RunLog
from cl_strategies.experiment.setup.build import build_benchmark, build_model, build_strategy
from cl_strategies.experiment.setup.environment import describe_environment, joined, resolve_device
from cl_strategies.experiment.setup.seeding import derive_seed, seed_everything
from cl_strategies.experiment.state.capture import (
    capture_with_bytes,
    check_resumable,
    restore_state,
    state_bytes,
)
from cl_strategies.experiment.state.checkpoint import REMEDY, load_checkpoint, save_checkpoint
from cl_strategies.plugins import (
    AccuracyMatrix,
    ContinualEvaluationPlugin,
    LeanEvaluationPlugin,
)
from cl_strategies.plugins.continual_evaluation.trace_file import write_trace
from cl_strategies.plugins.metrics.resources import PeakMemory, parameter_bytes

logger = logging.getLogger(__name__)

#: Called with (experiences done, experiences in all) at the start and after each experience.
Progress = Callable[[int, int], None]


class Training:
    """The objects of one run and the rows recorded so far."""

    def __init__(self, config: ExperimentConfig, directory: RunDirectory) -> None:
        self.config = config
        self.directory = directory
        device = resolve_device(config.run.device)
        self.benchmark = build_benchmark(config.benchmark)
        self.info = self.benchmark.info
        matrix = AccuracyMatrix()
        self.predictions = PredictionRecorder(config, directory, self.benchmark, matrix)
        self.trace = trace_plugin(config, self.benchmark)
        self.strategy = self._built(device, matrix, self.predictions.keeper, trace=self.trace)
        self.jointly = bool(getattr(self.strategy, "trains_jointly", False))
        self.predictions.jointly = self.jointly
        self.evaluation = Evaluation(
            self.strategy,
            matrix,
            self.benchmark.test_stream,
            every=config.run.evaluate_every,
            seed=config.run.seed,
            told=self.predictions.collect,
        )
        self.data = TrainingData(self.benchmark, jointly=self.jointly)
        self.next_parts = None
        if self.data.in_parts and config.continual_evaluation is not None:
            self.next_parts = NextParts(self.benchmark)
            self.strategy.plugins.append(self.next_parts)
        self.resumable = True
        with self._told():
            check_resumable(self.strategy)
        self.log = RowLog(directory.metrics)
        self.environments = [describe_environment(device)]
        self.identity = identity_of_training(config, self.benchmark, self.strategy)
        if not (os.path.exists(directory.checkpoint) and self._resume(device)):
            self.log.clear()
            self.predictions.begin()
        directory.describe(self.environments)

    def _built(self, device: str, *metrics: Any, trace: Any = None) -> Any:
        """Return a strategy as it is before any training, always with the same weights."""
        return fresh_strategy(self.config, self.info, device, *metrics, trace=trace)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """What was measured, an entry for each experience trained."""
        return self.log.rows

    def _resume(self, device: str) -> bool:
        """Return whether there are rows that the checkpoint continues."""
        path = self.directory.checkpoint
        state = load_checkpoint(path, device=device)
        if state.get("config_hash") != self.config.hash:
            raise UserError(f"the checkpoint {path} belongs to another configuration: {REMEDY}")
        before = state.get("identity")
        if self.directory.again and before != self.identity.to_dict():
            return False  # what was asked for is the run of now
        try:
            self.log.restore(state.get("rows"), len(self.data))
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
            seen = self.data.seen(self.rows[-1]["experience"])
            restore_state(self.strategy, state["strategy"], experiences_seen=seen)
            self._store_trace()
            self.environments = joined(state["environments"], self.environments[0])
            self.evaluation.resume(
                self.rows,
                refuted=state["copies_refuted"],
                elsewhere=not same or state["environments"][-1:] != self.environments[-1:],
            )
        except Exception as error:  # it is whole, so someone has made it so; of any shape
            raise _unfit(path, error) from error
        trained = [row["experience"] for row in self.rows]
        self.predictions.resume(state.get("predictions"), trained)
        return True

    def proceed(
        self, progress: Progress, watch: Watch | None = None, log: RunLog | None = None
    ) -> None:
        """Train and evaluate what is left of the stream.

        :param watch: told of the epochs.
        :param log: told of the experiences.
        """
        total = len(self.data)
        start = self.rows[-1]["experience"] + 1 if self.rows else 0
        progress(start, total)
        if not self.rows and self.predictions.wants_initial:
            self.predictions.before_training(partial(self._built, self.strategy.device))
        for position in [total - 1] if self.jointly and not start else range(start, total):
            self._experience(position, self.data.of(position), watch, log)
            progress(position + 1, total)
        self.rows[-1] = self.evaluation.closing(self.rows[-1])
        self.predictions.conclude(len(self.rows))
        last = self.data.whole[total - 1].dataset
        with torch.random.fork_rng(devices=[]):
            write_pictures(self.strategy, last, self.directory.path)

    def _experience(
        self, position: int, steps: Iterable[Any], watch: Watch | None, log: RunLog | None
    ) -> None:
        memory = PeakMemory(self.strategy.device)
        memory.reset()
        began = time.perf_counter()
        told = told_of(watch, None if log is None else log.watch)
        telling = 0.0 if self.rows else self._wider(position, watch)
        # Seeded anew, an experience draws the same numbers whether or not the run was
        # interrupted before it.
        seed_everything(derive_seed(self.config.run.seed, "experience", position))
        tested = self.next_parts and self.next_parts.tested(steps, self.strategy)
        telling += self._train(self.strategy, position, steps, told, tested or steps)
        forget_start(self.strategy)
        trained = time.perf_counter()
        peak = memory.bytes()
        tracing = self._store_trace()
        online = {"online": self.next_parts.take()} if self.next_parts else {}
        beside = sum([*tracing.values(), *(counts["seconds"] for counts in online.values())])
        evaluated = self.evaluation.after(position)
        row = {
            "experience": position,
            **evaluated,
            "train_seconds": trained - began - beside - telling,
            "evaluation_seconds": time.perf_counter() - trained,
            "parameter_bytes": parameter_bytes(self.strategy.model),
            "peak_memory_bytes": peak,
            **tracing,
            **online,
        }
        self.predictions.after(position, self.strategy)
        if (exemplars := exemplar_numbers(self.strategy)) is not None:
            row["exemplars"] = exemplars
        state = None
        if self.resumable:
            with self._told():
                state, row["method_state_bytes"] = capture_with_bytes(self.strategy)
        if state is None:
            row["method_state_bytes"] = state_bytes(self.strategy)
        self.log.append(row)  # before the checkpoint that counts it
        if log is not None:
            log.experience(self.rows)
        if state is not None:
            self._save(state)

    def _train(
        self,
        strategy: Any,
        position: int,
        steps: Iterable[Any],
        told: Watch | None,
        trained: Iterable[Any],
    ) -> float:
        """Train ``trained``, the ``steps`` of an experience one after the other.

        :returns: seconds that were spent on telling, which are none of training.
        """
        train = self.config.train
        if train.first_epochs and position < 2:  # later ones go on as the second
            strategy.train_epochs = train.epochs if position else train.first_epochs
        place = {"position": position, "total": len(self.data)}
        with Watched(strategy, steps, told, **place) as watched:
            for step in trained:
                strategy.train(step)
        return watched.telling

    def _wider(self, position: int, watch: Watch | None) -> float:
        """Train what is trained first at ``train.bits_before``, and begin with those weights.

        :returns: seconds that were spent on telling, which are none of training.
        """
        widths = widths_before(self.config, self.strategy.model)
        if not widths:
            return 0.0
        telling: list[float] = []

        def train(strategy: Any) -> None:
            steps = self.data.of(position)
            telling.append(self._train(strategy, position, steps, told_of(watch), steps))

        build = partial(fresh_strategy, info=self.info, device=str(self.strategy.device))
        started_from(self.strategy, *train_before(self.config, widths, build, train))
        return sum(telling)

    def _store_trace(self) -> dict[str, float]:
        """Write the trace, if there is one, and return the seconds that it took since the last."""
        if self.trace is None:
            return {}
        write_trace(self.directory.trace, self.trace.trace)
        seconds, self.trace.seconds = self.trace.seconds, 0.0
        return {"trace_seconds": seconds}

    def _save(self, strategy_state: dict[str, Any]) -> None:
        state = {
            "config_hash": self.config.hash,
            "identity": self.identity.to_dict(),
            "rows": self.log.mark(),
            "environments": self.environments,
            "strategy": strategy_state,
            "copies_refuted": self.evaluation.refuted,
            "predictions": self.predictions.mark(),
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


def trace_plugin(config: ExperimentConfig, benchmark: Any) -> ContinualEvaluationPlugin | None:
    """Return what evaluates during the training of a run, if its configuration says so."""
    options = config.continual_evaluation
    if options is None:
        return None
    return ContinualEvaluationPlugin(stream=benchmark.test_stream, **vars(options))


def fresh_strategy(
    config: ExperimentConfig, info: Any, device: str, *metrics: Any, trace: Any = None
) -> Any:
    """Return a strategy as it is before any training, always with the same weights.

    Random generators are seeded anew.
    """
    # Part of every published number: another spelling gives other initial weights.
    seed_everything(derive_seed(config.run.seed, "initialisation"))
    return build_strategy(
        config,
        info,
        build_model(config, info),
        device=device,
        evaluator=_quiet_evaluator(*filter(None, metrics)),
        trace=trace,
    )


def _unfit(path: Path, error: Exception) -> UserError:
    return UserError(f"the checkpoint {path} does not fit this run ({named(error)}): {REMEDY}")


def _quiet_evaluator(*metrics: Any) -> LeanEvaluationPlugin:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="No loggers specified")
        return LeanEvaluationPlugin(*metrics, collect_all=False)  # what nobody reads
