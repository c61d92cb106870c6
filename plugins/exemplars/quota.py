"""How the bytes of a memory are divided between its groups."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from cl_strategies.errors import UserError

#: Bytes that an exemplar takes beside its payload: label, task label, key and length, 4 each.
RECORD_BYTES = 16


class Record(NamedTuple):
    """One stored exemplar.

    :param payload: what the codec wrote.
    :param label: class.
    :param task: task label.
    :param key: priority, in ``[0, 1)``; the lowest are kept.
    """

    payload: bytes
    label: int
    task: int
    key: float

    @property
    def cost(self) -> int:
        """Bytes: the payload, and what else is stored of it."""
        return RECORD_BYTES + len(self.payload)


@dataclass
class Candidate:
    """An exemplar that may be kept; it is encoded when its turn comes."""

    key: float
    make: Callable[[], Record]
    _record: Record | None = None

    @property
    def record(self) -> Record:
        if self._record is None:
            self._record = self.make()
        return self._record


@dataclass
class Queue:
    """The candidates of one group in the order of priority, and those taken."""

    candidates: Iterator[Candidate]
    taken: list[Record] = field(default_factory=list)
    used: int = 0
    ahead: Candidate | None = None

    def __post_init__(self) -> None:
        self.ahead = next(self.candidates, None)

    def fits(self, room: int) -> bool:
        """Whether there is a next candidate, of no more than ``room`` bytes."""
        return self.ahead is not None and self.ahead.record.cost <= room

    def take(self) -> int:
        """Move the next candidate to the taken ones; its bytes."""
        candidate = self.ahead
        if candidate is None:
            raise IndexError("the queue is empty")
        self.taken.append(candidate.record)
        self.used += candidate.record.cost
        self.ahead = next(self.candidates, None)
        return candidate.record.cost


def fill(queues: list[Queue], budget: int, *, per_group: bool, pool: bool) -> None:
    """Take from each queue as long a prefix as the bytes allow.

    Every group has the same quota, and stops at the first candidate beyond it, though a later,
    smaller one might fit. With ``pool``, bytes left over then go one exemplar at a time to the
    group that has the fewest.

    :param queues: one per group.
    :param budget: bytes in all, or of each group.
    :param per_group: whether ``budget`` is of each group; nothing is pooled then.
    :param pool: whether left-over bytes are pooled.
    :raises UserError: if there are candidates but none fits.
    """
    quota = budget if per_group or not queues else budget // len(queues)
    for queue in queues:
        while queue.fits(quota - queue.used):
            queue.take()
    if pool and not per_group:
        _share_rest(queues, budget - sum(queue.used for queue in queues))
    first = [queue.ahead.record.cost for queue in queues if queue.ahead is not None]
    if first and not any(queue.taken for queue in queues):
        share = (
            f"{quota} bytes for each of {len(queues)} groups" if len(queues) > 1 else "all of it"
        )
        raise UserError(
            f"the memory of {budget} bytes cannot hold one exemplar: {share}, and the first to "
            f"store takes {min(first)} bytes. Give it more bytes or choose a smaller codec"
        )


def _share_rest(queues: list[Queue], room: int) -> None:
    waiting = [queue for queue in queues if queue.fits(room)]
    while waiting:
        queue = min(waiting, key=lambda candidate: len(candidate.taken))
        room -= queue.take()
        waiting = [candidate for candidate in waiting if candidate.fits(room)]
