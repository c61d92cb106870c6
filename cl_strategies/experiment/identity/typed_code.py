"""A fingerprint of code that was typed at a prompt or in a notebook, and stands in no file."""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Iterator
from types import CodeType
from typing import Any

_DIGITS = 12


def typed_source() -> str:
    """In words: a hash of the classes and functions that were typed.

    Their code, defaults and plain class attributes count, not how they are written. Any function
    that is there counts, also one that no run calls.
    """
    lines = []
    for name, value in sorted(vars(sys.modules["__main__"]).items()):
        if not name.startswith("_") and getattr(value, "__module__", None) == "__main__":
            lines += [f"{name} {part}" for part in _parts(value)]
    return f"typed code {hashlib.sha256(chr(10).join(lines).encode()).hexdigest()[:_DIGITS]}"


def _parts(value: Any) -> Iterator[str]:
    if isinstance(value, property):
        value = value.fget
    value = inspect.unwrap(getattr(value, "__func__", value))
    if inspect.isclass(value):
        yield f"class of {[base.__qualname__ for base in value.__bases__]}"
        for name, member in sorted(vars(value).items()):
            if name not in {"__module__", "__doc__", "__dict__", "__weakref__", "__signature__"}:
                yield from (f"{name} {part}" for part in _parts(member))
    elif inspect.isfunction(value):
        yield from _code(value.__code__)
        yield from (_plain(item) for item in value.__defaults__ or ())
        yield from (f"{k} {_plain(v)}" for k, v in sorted((value.__kwdefaults__ or {}).items()))
    else:
        yield _plain(value)


def _code(code: CodeType) -> Iterator[str]:
    yield f"{code.co_code.hex()} {code.co_names} {code.co_varnames}"
    for constant in code.co_consts:
        yield from _code(constant) if isinstance(constant, CodeType) else [_plain(constant)]


def _plain(value: Any) -> str:
    if isinstance(value, frozenset | set):
        return str(sorted(map(_plain, value)))
    if isinstance(value, tuple | list):
        return f"({', '.join(map(_plain, value))})"
    if isinstance(value, str | bytes | int | float | complex | type(None)):
        return repr(value)
    return getattr(value, "__qualname__", type(value).__qualname__)
