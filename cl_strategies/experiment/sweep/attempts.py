"""One attempt at a run, wherever it is made, and the record of one that was lost with its process.

This is what executors share: a run ends in the same way whichever of them does it.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cl_strategies.errors import DataMissingError, UserError
from cl_strategies.errors.failure import named, text_of
from cl_strategies.experiment.config.run_config import ExperimentConfig
from cl_strategies.experiment.directory.rerun import last_stamp
from cl_strategies.experiment.directory.run_directory import RunBusyError

if TYPE_CHECKING:
    from cl_strategies.experiment.engine.watching import Moment, Watch

logger = logging.getLogger(__name__)

#: Called with a config and where its run is; not by every executor.
Watching = Callable[[ExperimentConfig, "Moment"], None]

#: What signals mean that end a process which did not ask for them.
_SIGNALS = {
    "SIGSEGV": "crashed with a segmentation fault",
    "SIGBUS": "crashed with a bus error",
    "SIGILL": "crashed at an instruction that this processor does not have",
    "SIGFPE": "crashed with an arithmetic error",
    "SIGSYS": "made a system call that is not allowed here",
    "SIGABRT": "was aborted, by a check of a library in C or C++",
    "SIGKILL": "was killed, by the system for want of memory, or by somebody",
    "SIGTERM": "was told to end, by somebody or by a scheduler",
    "SIGXCPU": "was ended at the limit of its CPU time",
    "SIGXFSZ": "was ended at the limit of the size of a file",
    "SIGHUP": "was ended with its terminal",
}


@dataclass(frozen=True)
class Outcome:
    """How one run ended: ``problem`` is ``None`` if it left a result (finished or failed)."""

    config: ExperimentConfig
    problem: str | None = None


@dataclass(frozen=True)
class Answer:
    """What came of one attempt at a run.

    :param problem: why it left no result.
    :param again: whether it is to be attempted again, after all others.
    """

    problem: str | None = None
    again: bool = False


def result_stamps(configs: Sequence[ExperimentConfig], out: Path) -> dict[str, int]:
    """When the results that are there were written, by the hash of the run; 0 for none."""
    return {config.hash: last_stamp(config, out) or 0 for config in configs}


def attempt(
    config: ExperimentConfig, out: Path, *, wait: bool, repeat: int, watch: Watch | None = None
) -> Answer:
    """Do a run in this process.

    :param wait: for another process that is doing it.
    :param repeat: its :func:`result_stamps`: a failure of then is tried again, no later one.
    :param watch: told of its epochs.
    """
    from cl_strategies.experiment.engine.runner import run

    try:
        run(config, out, wait=wait, repeat=repeat, watch=watch)
    except RunBusyError as error:
        # Who has waited and is refused holds it itself, further up: it would wait for ever.
        return Answer(text_of(error)) if wait else Answer(again=True)
    except DataMissingError:
        return Answer()  # its result says so
    except UserError as error:
        return Answer(text_of(error))
    except Exception as error:  # outside of the boundary: one run must not end the others
        logger.debug("%s", config.slug, exc_info=True)
        return Answer(f"it was given up ({named(error)})")
    return Answer()


def lost(config: ExperimentConfig, out: Path, reason: str, *, repeat: int) -> Answer:
    """Record that a run was lost with its process.

    :param reason: such as :func:`end_of_process`.
    :param repeat: as for :func:`attempt`: a result that has come since then says more.
    """
    from cl_strategies.experiment.engine.runner import abandon

    try:
        abandon(config, out, reason, repeat=repeat)
    except RunBusyError:
        return Answer(again=True)
    except UserError as error:
        return Answer(f"{reason}; this could not be recorded: {text_of(error)}")
    return Answer()


def end_of_process(code: int | None) -> str:
    """Why a process left a run, by its exit code: minus the number of the signal that ended it.

    >>> end_of_process(-11)
    'its process crashed with a segmentation fault (SIGSEGV, exit code -11) before the run ended; \
the same command continues it'
    """
    name = None
    if code is None:
        what = "cannot be found"
    elif code >= 0:
        what = "ended by itself, as os._exit() does"
    else:
        name = _name_of_signal(-code)
        what = _SIGNALS.get(name, "was ended by a signal")
    details = ", ".join([*([name] if name else []), f"exit code {code}"])
    return f"its process {what} ({details}) before the run ended; the same command continues it"


def _name_of_signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # one of the real-time signals has no name
        return f"signal {number}"
