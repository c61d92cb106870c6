"""One run: train experience by experience, record, checkpoint, resume."""

from __future__ import annotations

import logging
from pathlib import Path

from cl_strategies.errors import DataMissingError, StorageError, UserError
from cl_strategies.errors.boundary import Boundary, ours
from cl_strategies.errors.failure import Failure, describe
from cl_strategies.experiment.config.run_config import ExperimentConfig
from cl_strategies.experiment.directory.rerun import ask, conclude, last_stamp, place_of
from cl_strategies.experiment.directory.run_directory import RunDirectory
from cl_strategies.experiment.engine.record import failed_record, run_record
from cl_strategies.experiment.engine.training import Progress, Training
from cl_strategies.experiment.engine.watching import Watch
from cl_strategies.experiment.identity.run_identity import (
    Identities,
    Told,
    read_not_computed,
)
from cl_strategies.experiment.loggers.run_log import RunLog
from cl_strategies.experiment.setup.portable import kernels
from cl_strategies.experiment.setup.seeding import torch_threads
from cl_strategies.plugins.features.generators import isolated_rng
from cl_strategies.results.record import RunRecord

logger = logging.getLogger(__name__)


def run(
    config: ExperimentConfig,
    out: str | Path,
    *,
    progress: Progress | None = None,
    watch: Watch | None = None,
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
    said what differs (:mod:`cl_strategies.experiment.identity.run_identity`).

    :param out: the run directory becomes ``out/runs/<slug>``.
    :param progress: told after each experience. What it raises ends the run, and is raised.
    :param watch: told of each epoch, and about once a second within one
        (:class:`~cl_strategies.experiment.engine.watching.Moment`); likewise.
    :param wait: for another process that is doing this run.
    :param repeat: the stamp (:meth:`stamp`) of a
        failure to try again; the one that is there now, if not given.
    :param rerun: do a finished run again, from its first experience; the old result is there
        until the new one is (:mod:`cl_strategies.experiment.directory.rerun`).
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
        config.logging.check_installed()
        training: Training | None = None
        log: RunLog | None = None
        record: RunRecord | None = None
        with isolated_rng(), torch_threads(config.run.threads), kernels(config.run.portable):
            try:
                with Boundary():
                    training = Training(config, directory)
                log = RunLog(config, out, training.rows, len(training.data))
                with Boundary():
                    training.proceed(_as_ours(progress), watch, log)
                    record = run_record(config, training, None)
            except DataMissingError as reason:
                conclude(directory, out, failed_record(config, training, describe(reason)))
                raise
            except StorageError:
                raise
            except UserError as reason:
                if log is None:
                    raise  # of the configuration, the checkpoint, or a logger
                record = failed_record(config, training, describe(reason))
            except Failure as reason:
                record = failed_record(config, training, reason)
            finally:
                if log is not None:
                    log.close(record)
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
            conclude(directory, out, failed_record(config, None, failure))


def _as_ours(progress: Progress | None) -> Progress:
    """Return what the caller's own ``progress`` raises is no failure of the run."""

    def tell(done: int, total: int) -> None:
        with ours():
            if progress is not None:
                progress(done, total)

    return tell
