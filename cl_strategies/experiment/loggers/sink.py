"""What a logger is to the engine: somewhere that numbers go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True, kw_only=True)
class LogEntry:
    """What is logged at once.

    :param step: epochs that the run has trained so far, of all experiences.
    :param experience: position of the experience that is trained, or was last.
    :param numbers: by names such as ``train/loss``; none is NaN.
    """

    step: int
    experience: int
    numbers: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class LoggedRun:
    """The run that a sink is opened for.

    :param slug: its name.
    :param tables: its configuration.
    :param folder: where logs of this comparison lie.
    :param project: what it belongs to.
    :param offline: whether nothing may leave this machine that need not.
    :param attempt: how often its log was begun anew.
    :param known: what the sink of an interrupted run answered as :meth:`Sink.identity`; ``""`` to
        begin anew.
    :param before: likewise of the log that this one takes the place of; ``""`` if there is none.
    """

    slug: str
    tables: Mapping[str, Mapping[str, Any]]
    folder: Path
    project: str
    offline: bool
    attempt: int
    known: str
    before: str


class Sink(Protocol):
    """Made with a :class:`LoggedRun`; what it raises ends the logging, not the run."""

    def identity(self) -> str:
        """Return what finds this log again; never ``""``."""

    def write(self, entry: LogEntry) -> None:
        """Log, so that it is kept if this process is killed."""

    def close(self, finished: bool | None) -> None:
        """End: the run has finished, failed, or (``None``) was interrupted."""
