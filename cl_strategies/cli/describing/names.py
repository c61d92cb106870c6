"""The names that ``list`` and ``show`` know: those of the registries, and the recipes."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable
from importlib import resources
from typing import Any

from cl_strategies.cli.describing.hours import HOURS
from cl_strategies.errors import UserError, unknown_name
from cl_strategies.errors.text import shortened
from cl_strategies.registry import KINDS, OLDER_KINDS, Entry, registry

RECIPES = "recipes"
_NEAREST, _FAR = 3, 0.4  # names that are offered, and how unlike the text they may be


def recipe_rows() -> list[dict[str, Any]]:
    """Return the recipes: ``name``, ``summary``, and what is expected of their cost, without
    importing what runs them."""
    folder = resources.files("cl_strategies.benchmarks") / RECIPES
    files = sorted((p for p in folder.iterdir() if p.name.endswith(".toml")), key=lambda p: p.name)
    heads = {p.name: tomllib.loads(p.read_text("utf-8"))["suite"] for p in files}
    return [
        {
            "name": name.removesuffix(".toml"),
            "summary": head["title"],
            **{key: head[key] for key in HOURS if key in head},
        }
        for name, head in heads.items()
    ]


def recipe_titles() -> dict[str, str]:
    """Return the names of the recipes with a line on each."""
    return {row["name"]: row["summary"] for row in recipe_rows()}


def check_recipe(name: str) -> None:
    """:raises UserError: unless ``name`` is that of a recipe."""
    if name not in (known := recipe_titles()):
        raise unknown_name("recipe", name, known)


def entries_by_name() -> dict[str, tuple[str, Entry]]:
    """Return every registered entry with its kind, by its name, by ``KIND/NAME``, and by that with
    the kind's older name; of two kinds that share a name the first has it."""
    found = [(kind, entry) for kind in KINDS for entry in registry(kind)]
    entries = {f"{kind}/{entry.name}": (kind, entry) for kind, entry in found}
    for older, kind in OLDER_KINDS.items():
        entries |= {f"{older}/{entry.name}": (kind, entry) for entry in registry(kind)}
    return entries | {entry.name: (kind, entry) for kind, entry in reversed(found)}


def unknown_kind(kind: str) -> UserError:
    """Return an error for what ``list`` does not know."""
    return unknown_name("kind", kind, [*KINDS, RECIPES])


def unknown(name: str, known: Iterable[str]) -> UserError:
    """Return an error for a name of no kind: the nearest names, and which kinds there are."""
    alike = [one for one in sorted(known) if ("/" in one) == ("/" in name)]
    near = difflib.get_close_matches(name[:100], alike, n=_NEAREST, cutoff=_FAR)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    return UserError(
        f"unknown name {shortened(name)!r}: {hint}`cl-strategies list KIND` prints the names of "
        f"one kind: {', '.join([*KINDS, RECIPES])}"
    )
