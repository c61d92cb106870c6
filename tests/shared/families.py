"""Families of strategies, for tests whose subject is what a family has in common.

A second way of doing one thing is tried with one strategy of each family, and with the others by
``make test-all``.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import pytest

from cl_strategies.registry import registry


@cache
def family(name: str) -> type:
    """The template that a registered strategy is made from."""
    kinds = registry("strategies")[name].load().__mro__[1:]
    return next(kind for kind in kinds if ".templates." in kind.__module__)


def represents(names: Iterable[str]) -> dict[str, bool]:
    """Whether each of ``names`` is the first of its family."""
    seen: dict[type, str] = {}
    return {name: seen.setdefault(family(name), name) == name for name in names}


def one_of_each(names: Iterable[str]) -> list[Any]:
    """``names`` for a test: all but one of each family are slow."""
    return [
        pytest.param(name, marks=[] if first else [pytest.mark.slow])
        for name, first in represents(names).items()
    ]


def ways(names: Iterable[str], usual: Any, *others: Any) -> list[Any]:
    """``(name, way)`` for a test: each name the usual way, one of each family the others.

    The rest is slow.
    """
    return [
        pytest.param(name, way, marks=[] if way is usual or first else [pytest.mark.slow])
        for name, first in represents(names).items()
        for way in (usual, *others)
    ]
