"""The closed list of classes of which a state may hold objects.

A state names classes as text. Text is looked up here and nowhere else: nothing is imported, no
attribute is followed, and an object is made only by the function registered with its class.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from cl_strategies.errors import UserError
from cl_strategies.validation.plain_data import shown


@dataclass(frozen=True)
class Restorable:
    """How objects of one class are captured and made again.

    :param kind: the class itself; objects of subclasses are not accepted.
    :param attributes: names of the attributes that make up its state; an object with others is
        not captured, and a state with others is refused.
    :param create: makes an object whose attributes are then set.
    """

    kind: type
    attributes: frozenset[str]
    create: Callable[[], Any]

    @property
    def name(self) -> str:
        """``module:class``, as a state has it."""
        return f"{self.kind.__module__}:{self.kind.__qualname__}"


_REGISTERED: dict[str, Restorable] = {}


def register_restorable(
    kind: type, *, attributes: Collection[str], create: Callable[[], Any]
) -> None:
    """Let checkpoints hold objects of a helper class, attribute by attribute.

    For a plugin or strategy a ``state_dict()`` and a ``load_state_dict()`` are simpler; this is
    for small objects that it keeps several of, such as buffers.

    :param kind: the class; its subclasses must be registered themselves.
    :param attributes: names of the instance attributes that make up the state. Each must be
        something that a checkpoint can hold.
    :param create: returns a new object; it is called without arguments.
    :raises UserError: if another class is registered under that name.
    """
    entry = Restorable(kind, frozenset(attributes), create)
    if _REGISTERED.setdefault(entry.name, entry).kind is not kind:
        raise UserError(f"another class is registered as {entry.name}: rename one of them")
    _REGISTERED[entry.name] = entry


def restorable_of(value: Any) -> Restorable | None:
    """Return the entry of exactly the class of ``value``."""
    kind = type(value)
    entry = _entries().get(f"{kind.__module__}:{kind.__qualname__}")
    return entry if entry is not None and entry.kind is kind else None


def restorable_named(name: Any) -> Restorable:
    """Return the entry of a class that a state names.

    :raises UserError: if none is registered under that name.
    """
    entry = _entries().get(name) if isinstance(name, str) else None
    if entry is None:
        raise UserError(
            f"the state holds an object of {shown(name)}, which is no class that a state may hold "
            "(register_restorable)"
        )
    return entry


def _entries() -> dict[str, Restorable]:
    _register_own()
    return _REGISTERED


@cache
def _register_own() -> None:
    """The helpers that Avalanche's plugins and the strategies of this package keep."""
    from avalanche.evaluation.metrics.mean import Mean
    from avalanche.training import storage_policy as policy
    from avalanche.training.regularization import LearningWithoutForgetting

    from cl_strategies.plugins.distillation.lwf import FrozenTeacherLwF
    from cl_strategies.plugins.exemplars.buffer.class_coverage import Coverage
    from cl_strategies.plugins.rehearsal.memories import (
        CoveringReservoir,
        FullExperienceBalancedBuffer,
        OrderedClassBalancedBuffer,
    )
    from cl_strategies.strategies.dark_er import LogitsBuffer

    places = {"max_size", "_buffer"}
    reservoir = {*places, "_buffer_weights"}
    balanced = {*places, "adaptive_size", "total_num_groups", "buffer_groups"}
    by_experience = {*balanced, "_num_exps"}
    by_class = {*balanced, "total_num_classes", "seen_classes"}
    for kind, attributes in (
        (policy.ReservoirSamplingBuffer, reservoir),
        (CoveringReservoir, {*reservoir, "coverage"}),
        (policy.ExperienceBalancedBuffer, by_experience),
        (FullExperienceBalancedBuffer, {*by_experience, "coverage"}),
        (policy.ClassBalancedBuffer, by_class),
        (OrderedClassBalancedBuffer, {*by_class, "coverage"}),
        (LogitsBuffer, {*by_class, "coverage"}),
    ):
        register_restorable(kind, attributes=attributes, create=partial(kind, 0))
    teacher = {"alpha", "temperature", "prev_model", "expcount", "prev_classes_by_task"}
    for kind in (LearningWithoutForgetting, FrozenTeacherLwF):
        register_restorable(kind, attributes=teacher, create=partial(kind, 0.0))
    register_restorable(Mean, attributes={"summed", "weight"}, create=Mean)
    register_restorable(Coverage, attributes={"told"}, create=Coverage)
