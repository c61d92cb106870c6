"""Fingerprints of the code that a report's numbers depend on, part by part.

A published report stays valid while what computed it stays: its methods, its streams, its networks.
The hash of the whole package would change with every message of every method. Here a part
(``strategies/alasso``) counts with the modules that it reaches by imports, without comments,
docstrings, descriptions of options and messages of errors.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from cl_strategies.registry import registry

#: Of this package what computes numbers: a part's modules elsewhere check, name and report.
COMPUTES = ("plugins", "strategies", "models", "benchmarks")
_DIGITS = 12


def parts_of(config: Mapping[str, Any]) -> set[str]:
    """Return the parts that a run's configuration names, such as ``strategies/si``."""
    found = {f"{table}s/{config[table]['name']}" for table in ("benchmark", "model")}
    found.add(f"strategies/{config['strategy']['name']}")
    if quantization := config.get("quantization"):
        found.add(f"quantizers/{quantization['quantizer']}")
    if host := config["strategy"].get("host"):
        found.add(f"strategies/{host}")
    codecs = registry("codecs")
    for value in config["strategy"].values():
        if isinstance(value, str) and value.partition(":")[0] in codecs:
            found.add(f"codecs/{value.partition(':')[0]}")
    return found


def fingerprints(parts: Iterable[str]) -> dict[str, str]:
    """Return the fingerprint of each part as it is in this tree."""
    return {part: fingerprint(part) for part in sorted(parts)}


@cache
def fingerprint(part: str) -> str:
    """Return twelve hexadecimal digits for ``part``, such as ``"strategies/si"``."""
    kind, name = part.split("/")
    supplied, _, attribute = registry(kind)[name].factory.partition(":")
    seen: set[str] = set()
    waiting = [_home(supplied, attribute)]
    while waiting:
        module = waiting.pop()
        if module not in seen and module.split(".")[0] == "cl_strategies":
            seen.add(module)
            waiting += _reached(module)
    counted = sorted(name for name in seen if name.split(".")[1:2] and _computes(name))
    text = "\n".join(f"# {name}\n{ast.unparse(_tree(name))}" for name in counted)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


def _computes(module: str) -> bool:
    return module.split(".")[1] in COMPUTES


@cache
def _reached(module: str) -> list[str]:
    return [_home(source, name) for source, name in _imports(_tree(module))]


def _imports(tree: ast.AST) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)


def _home(module: str, name: str) -> str:
    """The module in which what is imported from ``module`` is defined."""
    if module.split(".")[0] != "cl_strategies" or not name:
        return module
    value = getattr(importlib.import_module(module), name, None)
    return str(getattr(value, "__module__", None) or getattr(value, "__name__", None) or module)


@cache
def _tree(module: str) -> ast.AST:
    file = importlib.import_module(module).__file__
    return _Bare().visit(ast.parse(Path(str(file)).read_text(encoding="utf-8")))


class _Bare(ast.NodeTransformer):
    """Leave out what no number depends on."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return ast.Pass() if text else self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Name) and node.func.id == "Doc":
            return ast.Constant("")
        return self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        return ast.Raise()

    def visit_If(self, node: ast.If) -> ast.AST:
        typing = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        return ast.Pass() if typing else self.generic_visit(node)
