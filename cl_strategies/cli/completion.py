"""Completion in shells, by ``argcomplete``, an optional extra.

The shell starts the command with ``_ARGCOMPLETE`` set; without it nothing is imported.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from cl_strategies.cli.describing.names import RECIPES, entries_by_name, recipe_titles
from cl_strategies.registry import KINDS, registry

#: Where the parser leaves what one of several names of a kind, separated by commas.
_LISTS = {"benchmarks": "benchmarks", "strategies": "strategies"}


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer a shell that asks for completions, and end; do nothing if none asks."""
    if "_ARGCOMPLETE" not in os.environ:
        return
    with suppress(ImportError):
        import argcomplete

        add_completers(parser)
        argcomplete.autocomplete(parser, always_complete_options="long")


def add_completers(parser: argparse.ArgumentParser) -> None:
    """Let the arguments of all commands know which names they take."""
    for action in _actions(parser):
        action.completer = _completer(action)  # type: ignore[attr-defined]


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for sub in action.choices.values():
                yield from _actions(sub)
        elif action.choices is None and action.nargs != 0 and _completer(action) is not None:
            yield action


def _completer(action: argparse.Action) -> Any:
    if action.dest in _LISTS:
        names = [entry.name for entry in registry(_LISTS[action.dest])]
        return lambda prefix, **_: _after_commas(prefix, names)
    if action.dest == "kind":
        return lambda **_: [*KINDS, RECIPES]
    if action.dest == "suite":
        return lambda **_: recipe_titles()
    if action.dest == "name" and action.metavar == "NAME":
        return lambda **_: [*entries_by_name(), *recipe_titles()]
    return None


def _after_commas(prefix: str, names: list[str]) -> list[str]:
    before, comma, _ = prefix.rpartition(",")
    return [f"{before}{comma}{name}" for name in names if name not in before.split(",")]
