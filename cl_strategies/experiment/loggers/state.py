"""How far the log of a run has got, in a file beside it, so that nothing is logged twice."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from cl_strategies.io.atomic import write_text
from cl_strategies.io.bounded import read_regular


@dataclass
class LogState:
    """Where a log is.

    :param entries: that were written.
    :param ends: of each experience that ended: its position, the epochs and the entries so far.
    :param ids: of each logger, what finds its log again.
    :param attempt: how often the log was begun anew.
    """

    entries: int = 0
    ends: list[list[int]] = field(default_factory=list)
    ids: dict[str, str] = field(default_factory=dict)
    attempt: int = 0

    @classmethod
    def read(cls, path: Path) -> LogState | None:
        """Return the state that was written; ``None`` if there is none that can be used."""
        try:
            state = cls(**json.loads(read_regular(path)))
            plausible = (
                type(state.entries) is type(state.attempt) is int
                and all(list(map(type, end)) == [int] * 3 for end in state.ends)
                and all(type(text) is str for pair in state.ids.items() for text in pair)
            )
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            return None
        return state if plausible else None

    def write(self, path: Path) -> None:
        """:raises StorageError: if it cannot be written."""
        write_text(path, f"{json.dumps(asdict(self))}\n")

    def begun_anew(self) -> LogState:
        """Return the state of a log that takes the place of this one."""
        return LogState(attempt=self.attempt + 1)

    def end_of(self, position: int) -> tuple[int, int] | None:
        """Return epochs and entries when the experience at ``position`` had ended."""
        return next(((end[1], end[2]) for end in self.ends if end[0] == position), None)
