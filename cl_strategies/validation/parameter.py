"""One hyper-parameter, as its annotation declares it: type, limits, meaning, unit, equation.

``strength: Annotated[float, Ge(0), Doc("Strength of the penalty."), Equation("6")] = 1.0`` says
everything once. The limits and :class:`~annotated_types.Unit` are those of ``annotated_types``,
``Doc`` is that of ``typing_extensions`` (PEP 727), choices are a :data:`~typing.Literal`.
"""

from __future__ import annotations

import json
import operator
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from inspect import Parameter as Argument
from numbers import Integral, Real
from pathlib import Path
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

from annotated_types import Ge, GroupedMetadata, Gt, Le, Lt, Unit
from typing_extensions import Doc

from cl_strategies.errors import UserError, unknown_name
from cl_strategies.validation.plain_data import INTEGERS, shown

_NAMES: dict[type, str] = {
    bool: "true or false",
    str: "text",
    Path: "a path",
    int: "an integer",
    float: "a number",
}
_READ: dict[Any, Callable[[str], Any]] = {
    bool: {"true": True, "false": False}.__getitem__,
    int: int,
    float: float,
}
_PLURALS: dict[type, str] = {
    bool: "true and false",
    str: "texts",
    Path: "paths",
    int: "integers",
    float: "numbers",
}


@dataclass(frozen=True)
class Equation:
    """Where the paper has it: ``Equation("Eq. 6")``."""

    number: str


@dataclass(frozen=True)
class Alias:
    """The name that a hyper-parameter had in earlier versions, which is still understood."""

    name: str


@dataclass(frozen=True)
class ValueAlias:
    """The text that a choice was in earlier versions, which is still understood.

    Also of a name with options behind a colon, such as ``"jpeg:quality=50"``.
    """

    old: str
    new: str


@dataclass(frozen=True)
class Default:
    """The default of an option in a group of options, a ``TypedDict``, which cannot hold one."""

    value: Any


@dataclass(frozen=True)
class Since:
    """The version that a hyper-parameter came with: at its default, a run is that of before."""

    version: str


@dataclass(frozen=True)
class Parameter:
    """A hyper-parameter of a constructor or a function.

    :ivar name: the argument's name.
    :ivar annotation: its type and what stands beside it in ``Annotated``.
    :ivar default: its default; ``inspect.Parameter.empty`` if it has none.
    """

    name: str
    annotation: Any
    default: Any = Argument.empty

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is Argument.empty

    @cached_property
    def meaning(self) -> str:
        """What it is, in a sentence; ``""`` if the declaration does not say."""
        return next((mark.documentation for mark in self._marks(Doc)), "")

    @cached_property
    def unit(self) -> str:
        """Its unit; ``""`` for a pure number."""
        return next((mark.unit for mark in self._marks(Unit)), "")

    @cached_property
    def equation(self) -> str:
        """Where the paper has it."""
        return next((mark.number for mark in self._marks(Equation)), "")

    @cached_property
    def aliases(self) -> tuple[str, ...]:
        """Names of earlier versions."""
        return tuple(mark.name for mark in self._marks(Alias))

    @cached_property
    def since(self) -> str:
        """The version that it came with, if its default does what earlier versions did."""
        return next((mark.version for mark in self._marks(Since)), "")

    @cached_property
    def values(self) -> str:
        """The values it takes, in words; ``""`` if its type is not one that can be checked."""
        allowed = [_allowed(kind, self._limits) for kind in self._kinds]
        return " or ".join(allowed) if all(allowed) else ""

    def check(self, value: Any, owner: str = "") -> Any:
        """Return ``value`` in the declared type: an integer becomes a float where one is declared.

        :param owner: what the parameter belongs to, for the message.
        :raises UserError: for a value of another type, out of its limits, or not among its choices.
        """
        kinds, limits = self._kinds, self._limits
        value = self._renamed(value, {old: new for new, old in self._older_values.items()})
        if not self.values:
            return value
        for kind in kinds:
            if (found := _taken(kind, limits, value)) is not _REFUSED:
                # Version 0.1.0 hashed an integer as it was where there may also be no number.
                kept = kind is float and type(value) is int and type(None) in kinds
                return value if kept else found
        name = f"{owner}.{self.name}" if owner else self.name
        choices = [c for kind in kinds if get_origin(kind) is Literal for c in get_args(kind)]
        choices = [choice for choice in choices if isinstance(choice, str)]
        if choices and isinstance(value, str):
            raise unknown_name(name, value, choices)
        what, wanted = shown(value), self._wanted(kinds, limits)
        if isinstance(value, bool) or not isinstance(value, Real):
            what += f", a {type(value).__name__}"
        elif not -INTEGERS <= cast(float, value) < INTEGERS:
            wanted += " that is finite and of at most 64 bits"
        if isinstance(value, str) and "a list of" in wanted:
            parts = [part.strip() for part in value.split(",")]
            kind = int if all(part.isdecimal() for part in parts) else str
            wanted += f"; a list is written as {json.dumps([kind(part) for part in parts])}"
        raise UserError(f"{name} is {what}: give {wanted}")

    def oldest(self, value: Any) -> Any:
        """Return ``value`` as the first version that had it wrote it, which is what is hashed."""
        return self._renamed(value, self._older_values)

    @staticmethod
    def _renamed(value: Any, names: Mapping[str, str]) -> Any:
        if not isinstance(value, str):
            return value
        name, colon, options = value.partition(":")
        return names.get(name, name) + colon + options

    def parse(self, text: str, owner: str = "") -> Any:
        """Return the value that ``text`` stands for, in the declared type.

        :raises UserError: as :meth:`check`.
        """
        value: Any = text
        for kind in self._kinds:
            try:
                value = _READ[kind](text) if kind in _READ else text
            except (KeyError, ValueError):
                continue
            if _taken(kind, self._limits, value) is not _REFUSED:
                break
        return self.check(value, owner)

    def _wanted(self, kinds: Sequence[Any], limits: _Limits) -> str:
        some = [kind for kind in kinds if kind is not type(None)]
        text = " or ".join(_allowed(kind, limits) for kind in some)
        return text if len(some) == len(kinds) else f"{text}, or leave it out"

    @cached_property
    def _kinds(self) -> tuple[Any, ...]:
        return _alternatives(self.annotation)

    @cached_property
    def _limits(self) -> _Limits:
        marks = self._marks(Ge, Gt, Le, Lt)
        return _Limits({type(mark): getattr(mark, type(mark).__name__.lower()) for mark in marks})

    @cached_property
    def _older_values(self) -> dict[str, str]:
        return {mark.new: mark.old for mark in self._marks(ValueAlias)}

    def _marks(self, *kinds: type) -> Iterator[Any]:
        for mark in getattr(self.annotation, "__metadata__", ()):
            parts = mark if isinstance(mark, GroupedMetadata) else (mark,)
            yield from (part for part in parts if isinstance(part, kinds))


_WORDS = {Ge: "of at least", Gt: "above", Le: "of at most", Lt: "below"}
_HOLD = {Ge: operator.ge, Gt: operator.gt, Le: operator.le, Lt: operator.lt}


class _Limits(dict[type, float]):
    """Bounds by their kind: ``Ge``, ``Gt``, ``Le``, ``Lt``."""

    def hold(self, value: float) -> bool:
        return all(_HOLD[kind](value, bound) for kind, bound in self.items())

    def words(self, what: str) -> str:
        if set(self) == {Ge, Le}:
            return f"{what} from {self[Ge]} to {self[Le]}"
        if self == {Ge: 0} and what == _NAMES[float]:
            return "0 or more"
        bounds = [f"{_WORDS[kind]} {bound}" for kind, bound in self.items()]
        return f"{what} {' and '.join(bounds)}".strip()


_REFUSED = object()


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    """Return the types that a union is made of, without what ``Annotated`` adds."""
    if get_origin(annotation) is Annotated:
        return _alternatives(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return tuple(inner for part in get_args(annotation) for inner in _alternatives(part))
    return (annotation,)


def _item(kind: Any) -> Any:
    """Return the type of the items of a list; ``None`` if ``kind`` is no list."""
    if get_origin(kind) in (Sequence, list, tuple):
        return get_args(kind)[0]
    return None


def _allowed(kind: Any, limits: _Limits) -> str:
    """Return the values of a type in words; ``""`` for a type that is not checked."""
    if kind is type(None):
        return "none"
    if kind in (int, float):
        return limits.words(_NAMES[kind])
    if kind in _NAMES:
        return _NAMES[kind]
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(str(choice) for choice in get_args(kind))
    if (item := _item(kind)) in _NAMES:
        return f"a list of {limits.words(_PLURALS[item])}"
    return ""


def _taken(kind: Any, limits: _Limits, value: Any) -> Any:
    """Return ``value`` as one of type ``kind``, or ``_REFUSED``."""
    if kind is type(None):
        return None if value is None else _REFUSED
    if get_origin(kind) is Literal:
        same = [c for c in get_args(kind) if type(c) is type(value) and c == value]
        return same[0] if same else _REFUSED
    if (item := _item(kind)) is not None:
        if isinstance(value, str | Mapping) or not isinstance(value, Sequence):
            return _REFUSED
        items = [_taken(item, limits, each) for each in value]
        return _REFUSED if any(each is _REFUSED for each in items) else type_of(value)(items)
    if kind in (bool, str, Path):
        return value if isinstance(value, kind) else _REFUSED
    return _number(kind, limits, value)


def type_of(value: Sequence[Any]) -> type:
    """Return the plain type that a list of checked items gets."""
    return tuple if isinstance(value, tuple) else list


def _number(kind: type, limits: _Limits, value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, Integral if kind is int else Real):
        return _REFUSED
    if isinstance(value, Integral) and not -INTEGERS <= int(value) < INTEGERS:
        return _REFUSED
    try:
        number = kind(value)
    except OverflowError:  # a fraction of large integers
        return _REFUSED
    return number if abs(number) < float("inf") and limits.hold(number) else _REFUSED
