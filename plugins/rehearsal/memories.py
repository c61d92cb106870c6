"""Memories of samples that use all of their places, and are the same in a resumed run.

Avalanche divides the places of a memory between classes or experiences before it looks at how
many samples there are, so that the places of a small group stay empty; and the places that are
left over go to the classes that a ``set`` lists first, which depends on how it came about.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from avalanche.benchmarks.scenarios.online import OnlineCLExperience
from avalanche.training.storage_policy import (
    ClassBalancedBuffer,
    ExperienceBalancedBuffer,
    ReservoirSamplingBuffer,
)

from cl_strategies.plugins.exemplars.buffer.avalanche_data import labels_of
from cl_strategies.plugins.exemplars.buffer.class_coverage import Coverage
from cl_strategies.plugins.protocols.training import TrainingStrategy


class OrderedClassBalancedBuffer(ClassBalancedBuffer):
    """A class-balanced reservoir in which what a class cannot fill goes to the others."""

    seen_classes: set[int]

    def __init__(self, max_size: int) -> None:
        super().__init__(max_size)
        self.coverage = Coverage()

    def update_from_dataset(self, new_data: Any, strategy: TrainingStrategy | None = None) -> None:
        rows: dict[int, list[int]] = {}
        for row, label in enumerate(labels_of(new_data)[0]):
            rows.setdefault(label, []).append(row)
        classes = sorted(self.seen_classes | set(rows))
        self.seen_classes = set(classes)
        groups = self.buffer_groups
        stored = [len(groups[label].buffer) if label in groups else 0 for label in classes]
        new = [len(rows.get(label, ())) for label in classes]
        quotas = _quotas(self.max_size, classes, stored, new)
        for label, members in rows.items():
            group = groups.setdefault(label, ReservoirSamplingBuffer(quotas[label]))
            group.max_size = quotas[label]
            group.update_from_dataset(new_data.subset(members))
        for label, group in groups.items():
            group.resize(strategy, quotas[label])
        held = [label for label in classes if len(groups[label].buffer)]
        self.coverage.check(classes, held, f"{self.max_size} samples")


class FullExperienceBalancedBuffer(ExperienceBalancedBuffer):
    """An experience-balanced reservoir in which what one cannot fill goes to the others.

    The parts of an online stream's experience are one, and a stream whose boundaries are hidden is
    one whole, of which the memory is a uniform sample.
    """

    def __init__(self, max_size: int) -> None:
        super().__init__(max_size)
        self.coverage = Coverage()

    def post_adapt(self, agent: Any, exp: Any) -> None:
        seen = {*_classes(self), *labels_of(exp.dataset)[0]}
        number = self._group_of(exp)
        group = self.buffer_groups.setdefault(number, ReservoirSamplingBuffer(0))
        self._num_exps = len(self.buffer_groups)
        stored = [len(group.buffer) for group in self.buffer_groups.values()]
        new = [0] * self._num_exps
        new[number] = len(exp.dataset)
        quotas = _quotas(self.max_size, range(self._num_exps), stored, new)
        group.max_size = quotas[number]
        group.update_from_dataset(exp.dataset)
        for other, group in self.buffer_groups.items():
            group.resize(agent, quotas[other])
        self.coverage.check(seen, _classes(self), f"{self.max_size} samples")

    def _group_of(self, exp: Any) -> int:
        """Return the number of the group; where boundaries are hidden, all parts are in the last.

        Groups of single parts would leave the last parts of a long stream without a place.
        """
        part = isinstance(exp, OnlineCLExperience)
        goes_on = part and not (exp.access_task_boundaries and exp.is_first_subexp)
        return max(0, self._num_exps - 1) if goes_on else self._num_exps


class CoveringReservoir(ReservoirSamplingBuffer):
    """Avalanche's reservoir, which tells once when classes have no sample in it."""

    def __init__(self, max_size: int) -> None:
        super().__init__(max_size)
        self.coverage = Coverage()

    def update_from_dataset(self, new_data: Any) -> None:
        seen = {*_classes(self), *labels_of(new_data)[0]}
        super().update_from_dataset(new_data)
        self.coverage.check(seen, _classes(self), f"{self.max_size} samples")


def equal_shares(places: int, wanted: Sequence[int]) -> list[int]:
    """Shares that are equal but for those that want less; all of ``places``, if so many are wanted.

    :param places: how many there are.
    :param wanted: what each could use; of equal claims the first gets what is left over.
    :returns: one share for each.
    """
    level = 0
    while sum(min(want, level + 1) for want in wanted) <= places and level < max(wanted, default=0):
        level += 1
    shares = [min(want, level) for want in wanted]
    left = places - sum(shares)
    for position, want in enumerate(wanted):
        if left > 0 and want > shares[position]:
            shares[position] += 1
            left -= 1
    return shares


def _quotas(
    places: int, names: Sequence[int], stored: Sequence[int], new: Sequence[int]
) -> dict[int, int]:
    wanted = [a + b for a, b in zip(stored, new, strict=True)]
    return dict(zip(names, equal_shares(places, wanted), strict=True))


def _classes(memory: Any) -> set[int]:
    return set(labels_of(memory.buffer)[0]) if len(memory.buffer) else set()
