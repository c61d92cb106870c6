"""The log of one run, through every logger that was asked for.

An entry is an epoch, an experience, or the result. An interrupted run computes the epochs of its
last experience again, with the same numbers: those that were logged before are not logged again. A
logger that fails is left out from then on, with a warning; the run goes on. Random generators are
given back as they were, so that no number depends on who logs.
"""

from __future__ import annotations

import importlib
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cl_strategies.errors import UserError
from cl_strategies.errors.failure import named
from cl_strategies.experiment.config.run_config import ExperimentConfig
from cl_strategies.experiment.loggers.numbers import defined, numbers_after
from cl_strategies.experiment.loggers.sink import LogEntry, LoggedRun, Sink
from cl_strategies.experiment.loggers.state import LogState
from cl_strategies.plugins.features.generators import isolated_rng
from cl_strategies.results.record import RunRecord

logger = logging.getLogger(__name__)

#: The folder of all logs of a comparison, beside ``runs``.
FOLDER = "logs"
_PACKAGE = "cl_strategies.experiment.loggers"
_SINKS = {
    "csv": f"{_PACKAGE}.csv_sink:CsvSink",
    "mlflow": f"{_PACKAGE}.mlflow_sink:MlflowSink",
    "tensorboard": f"{_PACKAGE}.tensorboard_sink:TensorboardSink",
    "wandb": f"{_PACKAGE}.wandb_sink:WandbSink",
}

Rows = Sequence[Mapping[str, Any]]


class RunLog:
    """The log of one run.

    :param config: of the run.
    :param out: folder of the comparison.
    :param rows: that the run has already, if it continues.
    :param experiences: in its stream.
    :raises UserError: if a logger does not start.
    """

    def __init__(
        self, config: ExperimentConfig, out: str | Path, rows: Rows, experiences: int
    ) -> None:
        self._folder = Path(out) / FOLDER
        self._path = self._folder / "state" / f"{config.slug}.json"
        self._experiences = experiences
        self._sinks: dict[str, Sink] = {}
        if not config.logging.to:
            return
        before = LogState.read(self._path)
        position = rows[-1]["experience"] if rows else None
        end = before.end_of(position) if before and position is not None else None
        if before is not None and end is not None:
            self._state, (self._step, self._entry) = before, end
        else:
            self._state = before.begun_anew() if before else LogState()
            self._entry = 0
            first = config.train.first_epochs or config.train.epochs
            self._step = 0 if position is None else first + position * config.train.epochs
        for name in config.logging.to:
            self._open(name, config, before.ids.get(name, "") if before else "", end is not None)
        self._state.write(self._path)

    def _open(self, name: str, config: ExperimentConfig, id_: str, continued: bool) -> None:
        module, _, attribute = _SINKS[name].partition(":")
        run = LoggedRun(
            slug=config.slug,
            tables=config.to_dict(),
            folder=self._folder,
            project=config.logging.project,
            offline=config.logging.offline,
            attempt=self._state.attempt,
            known=id_ if continued else "",
            before="" if continued else id_,
        )
        try:
            with _apart():
                sink: Sink = getattr(importlib.import_module(module), attribute)(run)
                self._state.ids[name] = sink.identity()
        except Exception as error:  # of a third party, whatever it is
            raise UserError(
                f"the logger {name} does not start ({named(error)}): mend that, or leave it out "
                "of logging.to"
            ) from error
        self._sinks[name] = sink

    @property
    def watch(self) -> Callable[[Any], None] | None:
        """What to tell of each epoch; ``None`` if nothing is logged."""
        return self.epoch if self._sinks else None

    def epoch(self, moment: Any) -> None:
        """Log an epoch that has ended.

        :param moment: a :class:`~cl_strategies.experiment.engine.watching.Moment`.
        """
        if moment.over and self._sinks:
            self._step += 1
            numbers = {"loss": moment.loss, "lr": moment.lr, "seconds": moment.seconds}
            self._write(moment.experience, {f"train/{key}": v for key, v in numbers.items()})

    def experience(self, rows: Rows) -> None:
        """Log an experience that has ended.

        :param rows: of the run so far.
        """
        if self._sinks:
            position = rows[-1]["experience"]
            self._write(position, numbers_after(rows, self._experiences))
            ends = [end for end in self._state.ends if end[0] < position]
            self._state.ends = [*ends, [position, self._step, self._entry]]
            self._save()

    def close(self, record: RunRecord | None) -> None:
        """End the log.

        :param record: of a run that has ended; ``None`` for one that was interrupted.
        """
        if record and record.metrics and self._sinks:
            names = {f"final/{key}": value for key, value in record.metrics.items()}
            self._write(self._experiences - 1, names)
        finished = None if record is None else record.finished
        for name in list(self._sinks):
            with self._failing(name):
                self._sinks.pop(name).close(finished)

    def _write(self, position: int, numbers: Mapping[str, float | None]) -> None:
        self._entry += 1
        if self._entry <= self._state.entries:
            return
        entry = LogEntry(step=self._step, experience=position, numbers=defined(numbers))
        for name, sink in list(self._sinks.items()):
            with self._failing(name):
                sink.write(entry)
        self._state.entries = self._entry
        self._save()

    def _save(self) -> None:
        try:
            self._state.write(self._path)
        except UserError as error:
            logger.warning("nothing is logged any more: %s", error)
            self._sinks.clear()

    @contextmanager
    def _failing(self, name: str) -> Iterator[None]:
        try:
            with _apart():
                yield
        except Exception as error:  # of a third party, whatever it is
            self._sinks.pop(name, None)
            logger.warning("the logger %s is left out from now on (%s)", name, named(error))


@contextmanager
def _apart() -> Iterator[None]:
    """Third parties' code may draw random numbers and warn."""
    with isolated_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
