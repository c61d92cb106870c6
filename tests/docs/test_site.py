"""The site: every page can be found, and every public name has its place in the reference."""

from __future__ import annotations

import importlib
import runpy
from collections.abc import Iterator
from typing import Any

import yaml
from pages import ROOT

from cl_strategies.registry import registry

DOCS = ROOT / "docs"
SITE = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
API = runpy.run_path(str(DOCS / "api_pages.py"))


def entries(item: Any) -> Iterator[str]:
    """The pages below an entry of the navigation."""
    if isinstance(item, str):
        yield item
    elif item:
        for part in item.values() if isinstance(item, dict) else item:
            yield from entries(part)


def test_every_page_is_in_the_navigation_once_and_every_entry_is_a_page():
    made = [f"methods/{entry.name}.md" for entry in registry("strategies")]
    listed = sorted([*entries(SITE["nav"]), *made])
    assert listed == sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))


def test_the_reference_has_every_public_name():
    pages = API["pages"]()
    for package in API["tables"]():
        lines = pages[f"api/{package}.md"].splitlines()
        described = {line.rpartition(".")[2] for line in lines if line.startswith("::: ")}
        linked = {line.strip("#` ") for line in lines if line.startswith("## ")}
        assert not described & linked
        assert described | linked == set(importlib.import_module(package).__all__), package


def test_every_public_name_is_described_on_one_page():
    described = "\n".join(API["pages"]().values()).split("\n::: ")[1:]
    where = [line.split("\n")[0] for line in described]
    assert len(where) == len(set(where))
    tables = API["tables"]()
    homes = {
        API["definition"](target)
        for package, path in tables.items()
        for target in API["exports"](package, path).values()
    }
    assert homes == set(where)


def test_names_are_where_the_reference_looks_for_them():
    for package, path in API["tables"]().items():
        for name, target in API["exports"](package, path).items():
            module, _, inner = API["definition"](target).rpartition(".")
            found = getattr(importlib.import_module(module), inner)
            assert found is getattr(importlib.import_module(package), name), target
