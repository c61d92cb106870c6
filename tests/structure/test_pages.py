"""The tables of hyper-parameters in the pages are those of the declarations."""

from __future__ import annotations

import ast
import importlib
import re
import runpy
from pathlib import Path

import pytest

from cl_strategies.registry import KINDS, registry
from cl_strategies.validation.hyperparameters import parameters_of

DOCS = Path(__file__).resolve().parents[2] / "docs"
SCRIPT = runpy.run_path(str(DOCS / "parameters.py"))
COVERAGE = runpy.run_path(str(DOCS / "coverage.py"))


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda path: path.stem)
def test_tables_are_up_to_date(page):
    text = page.read_text()
    assert SCRIPT["filled"](text) == text, "run: python docs/parameters.py"


@pytest.mark.parametrize("page", COVERAGE["PAGES"].values(), ids=lambda path: path.stem)
def test_the_tables_of_methods_and_recipes_are_up_to_date_and_have_no_empty_cell(page):
    text = page.read_text()
    assert COVERAGE["filled"](text) == text, "run: python docs/coverage.py"
    table = COVERAGE["MARKS"].search(text)[0]
    assert not re.search(r"\|[ \t]*\|", table)


def test_every_strategy_with_options_has_its_table():
    for entry in registry("strategies"):
        page = (DOCS / "methods" / f"{entry.name}.md").read_text()
        assert f"<!-- parameters: {entry.name} -->" in page or not entry.parameters(), entry.name


@pytest.mark.parametrize("kind", KINDS)
def test_every_option_says_what_it_means_and_what_it_takes(kind):
    silent = [
        f"{entry.name}.{name}"
        for entry in registry(kind)
        for name, parameter in entry.parameters().items()
        if not parameter.meaning or not parameter.values
    ]
    assert not silent


@pytest.mark.parametrize("kind", KINDS)
def test_every_factory_checks_what_it_is_given(kind):
    for entry in registry(kind):
        for name, parameter in parameters_of(entry.load()).items():
            if parameter.values and name not in entry.fixed:
                assert parameter.check(parameter.default) == parameter.default, (entry.name, name)


STATION = re.compile(r"^\d+\. `([\w/]+\.py)` `(\w+)`", re.MULTILINE)


def test_every_station_of_the_architecture_is_there():
    text = (DOCS / "architecture.md").read_text()
    walks = [STATION.findall(walk) for walk in text.split("\n## ")[1:]]
    assert len(walks) == 4 and all(5 <= len(walk) <= 12 for walk in walks)
    for path, name in (station for walk in walks for station in walk):
        tree = ast.parse((DOCS.parent / path).read_text())
        defined = {
            node.name
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        }
        assert name in defined, f"{path}: {name}"


IMPORT = re.compile(r"^from (cl_strategies[\w.]*) import", re.MULTILINE)


@pytest.mark.parametrize(
    "page", [DOCS.parent / "README.md", *sorted(DOCS.rglob("*.md"))], ids=lambda path: path.stem
)
def test_pages_import_from_packages_and_functional_modules_only(page):
    public = {"cl_strategies", "cl_strategies.cli", "cl_strategies.registry"}
    public |= {f"cl_strategies.{name}" for name in ("strategies", "plugins", "benchmarks")}
    public |= {f"cl_strategies.{name}" for name in ("models", "experiment", "results", "reports")}
    public |= {"cl_strategies.statistics"}
    deep = [
        module
        for module in IMPORT.findall(page.read_text())
        if module not in public and not module.endswith(".functional")
    ]
    assert not deep


@pytest.mark.parametrize("page", DOCS.rglob("*.md"), ids=lambda page: page.stem)
def test_functions_with_their_module_are_there(page):
    for dotted in re.findall(
        r"`(cl_strategies\.[a-z_.]+)\.(\w+)\(", page.read_text(encoding="utf-8")
    ):
        module, name = dotted
        assert hasattr(importlib.import_module(module), name), f"{module}.{name}"
