"""The files of the package and what they import, read without running anything."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: Folder on the disk -> the package that it is.
FOLDERS = {
    "cl_strategies": "cl_strategies",
    "plugins": "cl_strategies.plugins",
    "benchmarks": "cl_strategies.benchmarks",
    "reports": "cl_strategies.reports",
}


@dataclass(frozen=True)
class Module:
    """One file: its path from the root, its dotted name, its lines, and the names it imports."""

    path: str
    name: str
    lines: int
    imports: frozenset[str]

    @property
    def folder(self) -> str:
        return self.path.rpartition("/")[0]


def _imports(tree: ast.AST, known: set[str]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield from (name for name in [inner, node.module] if name in known)


@pytest.fixture(scope="session")
def modules() -> dict[str, Module]:
    """Every module of the package by its dotted name, packages by that of their folder."""
    paths = {}
    for folder, package in FOLDERS.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            paths[".".join((package, *parts))] = path
    known = set(paths)
    return {
        name: Module(
            path=path.relative_to(ROOT).as_posix(),
            name=name,
            lines=path.read_text().count("\n"),
            imports=frozenset(_imports(ast.parse(path.read_text()), known)) - {name},
        )
        for name, path in paths.items()
    }
