"""Public names: one table per package, none that a module could shadow, everything registered."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

from cl_strategies.registry import KINDS, registry

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {
    "cl_strategies": "cl_strategies",
    "plugins": "cl_strategies.plugins",
    "benchmarks": "cl_strategies.benchmarks",
    "reports": "cl_strategies.reports",
}
TABLES = {
    ".".join((package, *path.parent.relative_to(ROOT / folder).parts)): path
    for folder, package in FOLDERS.items()
    for path in (ROOT / folder).rglob("__init__.pyi")
}


def exported(path: Path) -> list[str]:
    tree = ast.parse(path.read_text())
    return [
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]


@pytest.mark.parametrize("package", TABLES)
def test_every_name_of_a_table_can_be_imported_and_stands_there_once(package):
    names = exported(TABLES[package])
    module = importlib.import_module(package)
    assert names and len(names) == len(set(names))
    assert sorted(module.__all__) == sorted(names)
    assert all(getattr(module, name) is not None for name in names)


@pytest.mark.parametrize("package", TABLES)
def test_no_name_is_that_of_a_module(package):
    folder = TABLES[package].parent
    modules = {path.stem for path in folder.iterdir() if path.suffix == ".py" or path.is_dir()}
    if package == "cl_strategies":
        modules |= set(FOLDERS)
    assert not modules & set(exported(TABLES[package]))


@pytest.mark.parametrize("kind", KINDS)
def test_every_registered_name_is_one_of_the_tables(kind):
    for entry in registry(kind):
        package, _, name = entry.factory.partition(":")
        assert package in TABLES and name in exported(TABLES[package]), entry.name


def test_the_plugin_of_every_strategy_is_public():
    names = set(exported(TABLES["cl_strategies.plugins"]))
    for entry in registry("strategies"):
        plugin = getattr(entry.load(), "plugin_class", None)
        if plugin is not None:
            assert plugin.__name__ in names, entry.name


def test_no_two_classes_have_one_name():
    seen: dict[str, str] = {}
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    assert node.name not in seen, f"{node.name}: {seen.get(node.name)}, {path}"
                    seen[node.name] = str(path)
