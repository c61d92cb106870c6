"""The pages of the API reference: one for each table of exports, with every name that it has.

They are written by ``mkdocs build`` only (``docs/site_hooks.py``) and stand nowhere in the source.
"""

from __future__ import annotations

import ast
import importlib
import inspect
from functools import cache
from pathlib import Path

from cl_strategies.cli.describing.parameter_table import markdown_table
from cl_strategies.validation.hyperparameters import parameters_of

ROOT = Path(__file__).resolve().parents[1]
#: Folder on the disk -> the package that it is.
FOLDERS = {
    "cl_strategies": "cl_strategies",
    "plugins": "cl_strategies.plugins",
    "benchmarks": "cl_strategies.benchmarks",
    "reports": "cl_strategies.reports",
}


@cache
def tables() -> dict[str, Path]:
    """Every package with a table of exports, and the file of the table, by name."""
    return dict(
        sorted(
            (".".join((package, *path.parent.relative_to(ROOT / folder).parts)), path)
            for folder, package in FOLDERS.items()
            for path in (ROOT / folder).rglob("__init__.pyi")
        )
    )


@cache
def exports(package: str, path: Path) -> dict[str, str]:
    """The public names of ``package``, sorted, and where each is defined: its dotted path."""
    found = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            parents = package.split(".")
            start = ".".join(parents[: len(parents) + 1 - node.level]) if node.level else ""
            module = ".".join(filter(None, (start, node.module)))
            found.update({a.asname or a.name: f"{module}.{a.name}" for a in node.names})
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


def definition(target: str) -> str:
    """``target``, with names that one table takes from another followed to their module."""
    package, _, name = target.rpartition(".")
    while package in tables() and name in (known := exports(package, tables()[package])):
        package, _, name = known[name].rpartition(".")
    return f"{package}.{name}"


def purpose(path: Path) -> str:
    """The docstring of the package whose table is ``path``."""
    module = ast.parse((path.with_suffix(".py")).read_text(encoding="utf-8"))
    return ast.get_docstring(module) or ""


def page(package: str, path: Path) -> str:
    """The page of a package; what another page describes is a link to it."""
    parts = [f"# {package}", purpose(path), f"`from {package} import ...`"]
    for name, target in exports(package, path).items():
        home = definition(target)
        described = home_page(home)
        if described == package:
            parts += [f"::: {home}", *options(home)]
        else:
            parts.append(f"## `{name}`\n\nSee [`{described}.{name}`][{home}].")
    return "\n\n".join(parts) + "\n"


def options(home: str) -> list[str]:
    """A table of what the class at ``home`` takes by ``**options``, if it takes any."""
    module, _, name = home.rpartition(".")
    found = getattr(importlib.import_module(module), name)
    if not inspect.isclass(found):
        return []
    taken = inspect.signature(inspect.unwrap(found.__init__)).parameters
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in taken.values()):
        return []
    more = [p for key, p in parameters_of(found).items() if key not in taken and p.meaning]
    return ["Options of its parts:", markdown_table(more)] if more else []


@cache
def home_page(home: str) -> str:
    """The package on whose page the object at ``home`` is described: the nearest above it, which
    a user types less of than of any other."""
    name = home.rpartition(".")[2]
    having = [
        package
        for package, path in tables().items()
        if (target := exports(package, path).get(name)) and definition(target) == home
    ]
    return max(having, key=lambda package: (home.startswith(package), len(package)))


def pages() -> dict[str, str]:
    """The text of every page, by its path below ``docs``."""
    return {f"api/{package}.md": page(package, path) for package, path in tables().items()}
