"""Code among the attributes of a plugin: left out of a state, unless it keeps state of its own."""

from __future__ import annotations

import dis
import functools
import types
from collections.abc import Callable, Iterator
from typing import Any

from torch.utils.data import DataLoader

#: Code whose parts :func:`hidden_state` looks at.
CODE = (
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    functools.partial,
    Iterator,
    DataLoader,
)

_WRITES = frozenset({"STORE_DEREF", "DELETE_DEREF"})


def hidden_state(value: Any, known: Callable[[Any], bool]) -> str | None:
    """Return what a piece of code remembers from one call to the next, in words.

    A restored strategy has its own copy of the code, made by the constructor. That is the same
    code, but what it has counted, drawn or collected since then is gone.

    :param value: one of :data:`CODE`.
    :param known: whether an object is restored anyway (a part of the strategy), or cannot change.
    :returns: ``None`` if it remembers nothing.
    """
    return _Search(known).hidden_in(value)


class _Search:
    def __init__(self, known: Callable[[Any], bool]) -> None:
        self.known = known
        self.visited: set[int] = set()

    def hidden_in(self, value: Any) -> str | None:
        if id(value) in self.visited:
            return None
        self.visited.add(id(value))
        if isinstance(value, types.FunctionType):
            return self._in_function(value)
        if isinstance(value, types.MethodType):
            return self._in_part(value.__self__, "is bound to") or self.hidden_in(value.__func__)
        if isinstance(value, functools.partial):
            return self._in_partial(value)
        if isinstance(value, types.BuiltinFunctionType):
            owner = value.__self__
            bound = owner is not None and not isinstance(owner, types.ModuleType | type)
            return self._in_part(owner, "is bound to") if bound else None
        if isinstance(value, DataLoader):
            drawn = getattr(value, "generator", None)
            return None if drawn is None else "is a loader with a random generator of its own"
        return f"is an iterator ({type(value).__name__}), whose position cannot be stored"

    def _in_function(self, function: types.FunctionType) -> str | None:
        if vars(function):
            return "is a function with attributes"
        names = function.__code__.co_freevars
        if names and any(
            step.opname in _WRITES and step.argval in names
            for step in dis.get_instructions(function)
        ):
            return "is a function that assigns to a variable around it (nonlocal)"
        for name, cell in zip(names, function.__closure__ or (), strict=True):
            try:
                content = cell.cell_contents
            except ValueError:  # not assigned yet
                continue
            if (
                found := self._in_part(content, f"is a function over the variable {name},")
            ) is not None:
                return found
        defaults = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
        for default in defaults:
            if (found := self._in_part(default, "is a function with the default")) is not None:
                return found
        return None

    def _in_partial(self, value: functools.partial[Any]) -> str | None:
        if vars(value):
            return "is a functools.partial with attributes"
        for argument in (*value.args, *value.keywords.values()):
            if (found := self._in_part(argument, "is a functools.partial of")) is not None:
                return found
        return self.hidden_in(value.func) if isinstance(value.func, CODE) else None

    def _in_part(self, part: Any, how: str) -> str | None:
        if self.known(part):
            return None
        if type(part) in (tuple, frozenset):
            found = (self._in_part(item, how) for item in part)
            return next((text for text in found if text is not None), None)
        if isinstance(part, CODE):
            return self.hidden_in(part)
        return f"{how} a {type(part).__name__} that may change"
