"""What PyPI and GitHub show: links that lead somewhere, a citation, classifiers, what is packed."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from cl_strategies import __version__

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
README = (ROOT / "README.md").read_text(encoding="utf-8")
HOME = PROJECT["urls"]["Repository"]
IN_REPOSITORY = re.compile(re.escape(HOME) + r"/(?:blob|tree)/main/([^\s)#>\"']+)(?:#([\w-]+))?")
PAGES = [
    *(ROOT / name for name in ("README.md", "CITATION.cff", "pyproject.toml", "mkdocs.yml")),
    *sorted((ROOT / "docs").rglob("*.md")),
]


def without_code(text):
    return re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)


def anchors(page):
    """What headings of a Markdown page are called in links."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-") for text in headings}


def test_links_of_the_readme_are_absolute():
    text = without_code(README)
    inline = re.findall(r"\]\(([^)]+)\)", text)
    defined = dict(re.findall(r"^\[([^\]]+)\]: (\S+)$", text, re.MULTILINE))
    assert len(defined) > 20
    relative = [link for link in [*inline, *defined.values()] if not re.match(r"https://|#", link)]
    assert not relative, f"PyPI cannot follow {relative}: begin with {HOME}/blob/main/"
    used = {" ".join(label.split()) for label in re.findall(r"\[([^\[\]]+)\](?![:(])", text)}
    assert used == set(defined)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_into_the_repository_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for path, anchor in IN_REPOSITORY.findall(text):
        assert (ROOT / path).exists(), path
        assert not anchor or anchor in anchors(ROOT / path), f"{path}#{anchor}"
    of_the_name = re.findall(r"https://github\.com/cl-strategies[\w./-]*", text)
    assert all(link.startswith(HOME) for link in of_the_name)


def test_every_example_is_linked_from_readme_and_documentation():
    pages = [README, (ROOT / "docs" / "examples.md").read_text(encoding="utf-8")]
    examples = [*(ROOT / "examples").glob("*.py"), *(ROOT / "examples").glob("*.ipynb")]
    assert len(examples) == 7
    for path in examples:
        assert all(f"{HOME}/blob/main/examples/{path.name}" in page for page in pages), path.name
    assert "(examples.md)" in (ROOT / "docs" / "index.md").read_text(encoding="utf-8")


def test_the_project_says_who_where_and_for_which_python():
    assert PROJECT["authors"] and PROJECT["keywords"] == sorted(PROJECT["keywords"])
    assert {"Repository", "Documentation", "Changelog", "Examples"} <= set(PROJECT["urls"])
    assert PROJECT["requires-python"] == ">=3.11"
    prefix = "Programming Language :: Python :: 3."
    versions = [c.removeprefix(prefix) for c in PROJECT["classifiers"] if c.startswith(prefix)]
    assert versions == ["11", "12", "13"]
    assert all((ROOT / name).stat().st_size for name in (*PROJECT["license-files"], "CHANGELOG.md"))


def test_the_citation_has_the_fields_of_its_format():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors", "type", "version"} <= set(citation)
    assert citation["cff-version"] == "1.2.0" and citation["type"] == "software"
    assert [author["name"] for author in citation["authors"]] == [
        author["name"] for author in PROJECT["authors"]
    ]
    assert citation["version"] == __version__ and citation["license"] == PROJECT["license"]
    assert citation["repository-code"] == citation["url"] == HOME


def test_every_folder_of_the_wheel_says_that_it_is_typed():
    for folder in ("cl_strategies", "plugins", "benchmarks", "reports"):
        assert (ROOT / folder / "py.typed").read_bytes() == b""
