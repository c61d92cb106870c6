"""Write the tables of methods and of recipes into the pages: ``python docs/coverage.py``.

They are read from the registry, the recipes and the tests, and stand between ``<!-- methods -->``
or ``<!-- recipes -->`` and ``<!-- end -->``.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from cl_strategies.experiment.config.suite import Suite, recipes
from cl_strategies.registry import Entry, registry

ROOT = Path(__file__).resolve().parents[1]
PAPERS = ("ALASSO", "HALRP", "CIM", "AlignQ", "LifeQuant")
PAGES = {
    "methods": ROOT / "docs" / "methods" / "index.md",
    "recipes": ROOT / "docs" / "comparing.md",
}
MARKS = re.compile(r"(<!-- (methods|recipes) -->\n).*?(<!-- end -->)", re.DOTALL)


@cache
def suites() -> dict[str, Suite]:
    """Every recipe by its name, those of a paper in the order of its tables."""
    known = {name: Suite.from_toml(name) for name in recipes()}
    return dict(sorted(known.items(), key=lambda item: (not of_paper(item[1]), item[1].title)))


def of_paper(suite: Suite) -> bool:
    """Whether ``suite`` is a table of one of the five papers."""
    return suite.title.split(",")[0] in PAPERS


def rows_with(entry: Entry) -> list[str]:
    """Names of the recipes in which ``entry`` is a row."""
    return [
        name
        for name, suite in suites().items()
        if any(row["name"] == entry.name for row in suite.strategies)
    ]


def places(entry: Entry) -> str:
    """Where ``entry`` stands in the five papers, such as ``HALRP: Tables 2, 3a``."""
    found: dict[tuple[str, str], set[str]] = {}
    for name in filter(lambda name: of_paper(suites()[name]), rows_with(entry)):
        paper, _, place = suites()[name].title.partition(":")[0].partition(", ")
        kind, _, numbers = place.partition(" ")
        if kind.rstrip("s") in ("Table", "Figure"):
            group = found.setdefault((paper, kind.rstrip("s")), set())
            group.update(re.findall(r"\b(?:\d+\w?|[A-Z])\b", numbers))
        else:
            found[paper, place] = set()
    texts = [
        f"{paper}, {kind}{'s' if len(numbers) > 1 else ''} {', '.join(sorted(numbers))}".rstrip()
        for (paper, kind), numbers in found.items()
    ]
    return "; ".join(texts) or "none of them"


def origin(entry: Entry) -> str:
    """Whose code does the work: ours, or a class of Avalanche's that ours is a subclass of."""
    factory = entry.load()
    parts = [factory, *getattr(factory, "parts", ())]
    theirs = {
        base.__name__
        for part in parts
        for base in getattr(part, "__mro__", ())
        if base.__module__.startswith("avalanche.training.")
        and not base.__module__.startswith("avalanche.training.templates")
        and base.__doc__
        and base.__name__ not in ("BasePlugin", "SupervisedPlugin", "BaseSGDPlugin")
    }
    return f"on Avalanche's `{min(theirs, key=len)}`" if theirs else "ours"


@cache
def texts_of_tests() -> dict[str, str]:
    """The text of every test of a method, those of strategies first."""
    folders = ("tests/strategies", "tests/plugins", "tests/parity")
    files = [path for folder in folders for path in sorted((ROOT / folder).rglob("test_*.py"))]
    return {str(path.relative_to(ROOT)): path.read_text() for path in files}


def test_of(entry: Entry) -> str:
    """The file that tests ``entry`` by its name or its class, the one named after it if it is."""
    own = f"tests/strategies/test_{entry.name.replace('-', '_')}.py"
    if own in texts_of_tests():
        return own
    names = re.compile(rf"\b{entry.factory.partition(':')[2]}(Plugin)?\b|\"{entry.name}\"")
    uses = {file: len(names.findall(text)) for file, text in texts_of_tests().items()}
    most = max(uses.values())
    return next(file for file, count in uses.items() if count == most) if most else ""


def methods() -> str:
    """The table of methods."""
    lines = ["| method | paper | in the tables of | code | recipe | test |", "|" + "---|" * 6]
    for entry in registry("strategies"):
        recipe, *more = rows_with(entry) or [""]
        others = f" and {len(more)} more" if more else ""
        cells = (
            f"[`{entry.name}`]({entry.name}.md)",
            entry.paper or "of no paper",
            places(entry),
            origin(entry),
            f"`{recipe}`{others}" if recipe else "",
            f"`{test_of(entry)}`" if test_of(entry) else "",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def recipe_table() -> str:
    """The table of recipes."""
    lines = ["| recipe | what |", "|---|---|"]
    lines += [f"| `{name}` | {suite.title} |" for name, suite in suites().items()]
    return "\n".join(lines) + "\n"


def filled(text: str) -> str:
    """``text`` with the present tables between its marks."""
    tables = {"methods": methods, "recipes": recipe_table}
    return MARKS.sub(lambda match: match[1] + tables[match[2]]() + match[3], text)


if __name__ == "__main__":
    for page in PAGES.values():
        page.write_text(filled(page.read_text()))
