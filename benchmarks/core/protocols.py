"""How class-incremental papers cut the classes of a data set into tasks."""

from __future__ import annotations

from collections.abc import Sequence

from cl_strategies.benchmarks.core.options import SplitProtocol
from cl_strategies.benchmarks.core.selection import partition


def classes_of_tasks(
    classes: Sequence[int], n_experiences: int, protocol: SplitProtocol
) -> list[tuple[int, ...]]:
    """Cut the classes into tasks.

    :param classes: in the order in which they come.
    :param n_experiences: N of the protocol.
    :param protocol: ``"scratch"``, learning from scratch: N tasks of equal size, the first ones
        larger by one where need be; ``"half"``, learning from half: half of the classes (rounded
        up) in one first task, then N more, so that there are N + 1.
    :raises UserError: if a task would be empty.

    >>> [len(task) for task in classes_of_tasks(range(101), 10, "scratch")]
    [11, 10, 10, 10, 10, 10, 10, 10, 10, 10]
    >>> [len(task) for task in classes_of_tasks(range(101), 5, "half")]
    [51, 10, 10, 10, 10, 10]
    """
    if protocol == "scratch":
        return partition(classes, n_experiences)
    first = (len(classes) + 1) // 2
    return [tuple(classes[:first]), *partition(classes[first:], n_experiences)]
