"""Divide the bytes of a memory between its groups."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from cl_strategies.errors import UserError

#: Bytes that an exemplar takes beside its payload: label, task label, key and length, 4 each.
RECORD_BYTES = 16
#: Candidates of a group that are encoded in search of one that fits into the last bytes.
LOOK_AHEAD = 8


class Record(NamedTuple):
    """One stored exemplar.

    :param payload: The bytes that the codec wrote.
    :param label: Class id.
    :param task: Task label.
    :param key: Priority, in ``[0, 1)``; the lowest are kept.
    """

    payload: bytes
    label: int
    task: int
    key: float

    @property
    def cost(self) -> int:
        """Bytes: the payload, and what else is stored of it."""
        return RECORD_BYTES + len(self.payload)


class Candidate:
    """An exemplar that may be kept.

    :param key: Priority, as of :class:`Record`.
    :param source: The exemplar, or a function that encodes it when it is needed.
    """

    __slots__ = ("_source", "key")

    def __init__(self, key: float, source: Record | Callable[[], Record]) -> None:
        self.key = key
        self._source = source

    @property
    def record(self) -> Record:
        if not isinstance(self._source, Record):
            self._source = self._source()
        return self._source


class Queue:
    """The candidates of one group in the order of priority, and those taken.

    :ivar taken: Exemplars that are kept.
    :ivar ahead: The next exemplar, if there is one.
    """

    def __init__(self, candidates: Iterator[Candidate]) -> None:
        self._candidates = candidates
        self.taken: list[Record] = []
        self.ahead: Record | None = None
        self._advance()

    def _advance(self) -> None:
        candidate = next(self._candidates, None)
        self.ahead = None if candidate is None else candidate.record

    def fits(self, room: int) -> bool:
        """Return whether there is a next exemplar, of no more than ``room`` bytes."""
        return self.ahead is not None and self.ahead.cost <= room

    def known(self) -> list[Record]:
        """Return the exemplars taken, and the next one."""
        return [*self.taken, *([] if self.ahead is None else [self.ahead])]

    def skip(self, room: int, most: int) -> bool:
        """Drop candidates before the first one of no more than ``room`` bytes.

        :param most: How many candidates to look at.
        :returns: whether there is one, which is :attr:`ahead` then.
        """
        while self.ahead is not None and not self.fits(room) and most > 0:
            self._advance()
            most -= 1
        return self.fits(room)

    def take(self, room: int, most: int | None = None) -> int:
        """Move exemplars to the taken ones until the next one exceeds the room.

        :param room: Bytes that are free.
        :param most: How many exemplars to move at most; ``None`` for no limit.
        :returns: bytes used.
        """
        used = 0
        while self.ahead is not None and most != 0:
            cost = self.ahead.cost
            if used + cost > room:
                break
            self.taken.append(self.ahead)
            used += cost
            most = None if most is None else most - 1
            self._advance()
        return used


def fill(
    queues: list[Queue], budget: int, *, per_group: bool, pool: bool, look_ahead: int = LOOK_AHEAD
) -> None:
    """Take from each queue as long a prefix as the bytes allow.

    Every group has the same quota, and stops at the first candidate beyond it, though a later,
    smaller one might fit. With ``pool``, bytes left over then go one exemplar at a time to the
    group that has the fewest; where the next of no group fits, to the first that does among the
    next few of each.

    :param queues: The candidates of each group.
    :param budget: bytes in all, or of each group.
    :param per_group: Whether ``budget`` is of each group; nothing is pooled then.
    :param pool: Whether bytes that some groups leave over go to others.
    :param look_ahead: Candidates of each group to try for the last bytes; 0 keeps prefixes.
    :raises UserError: if there are candidates but none fits.
    """
    quota = budget if per_group or not queues else budget // len(queues)
    used = sum([queue.take(quota) for queue in queues])
    first = [queue.ahead.cost for queue in queues if queue.ahead is not None]
    if pool and not per_group:
        _share_rest(queues, budget - used, look_ahead)
    if first and not any(queue.taken for queue in queues):
        share = (
            f"{quota} bytes for each of {len(queues)} groups" if len(queues) > 1 else "all of it"
        )
        raise UserError(
            f"the memory of {budget} bytes cannot hold one exemplar: {share}, and the first to "
            f"store takes {min(first)} bytes. Give it more bytes or choose a smaller codec"
        )


def _share_rest(queues: list[Queue], room: int, look_ahead: int) -> None:
    uneven = len({record.cost for queue in queues for record in queue.known()}) > 1
    while True:
        waiting = [queue for queue in queues if queue.fits(room)]
        if not waiting:
            waiting = [queue for queue in queues if uneven and queue.skip(room, look_ahead)]
        if not waiting:
            return
        room -= min(waiting, key=lambda candidate: len(candidate.taken)).take(room, 1)
