"""Write the tables of methods and of recipes into the pages: ``python docs/coverage.py``.

They are read from the registry, the recipes, the tests, ``sizes.csv`` and ``paper_tables.csv``, and
stand between ``<!-- methods -->``, ``<!-- recipes -->``, ``<!-- papers -->`` or ``<!-- decisions
-->`` and ``<!-- end -->``.

``paper_tables.csv`` has every table and figure of the five papers with the recipes that make it, or
why there is none.

``sizes.csv`` has the bytes of parameters and method state at the end of ``cl-strategies compare
every-class-incremental`` and, for methods that take no such stream, ``every-task-incremental``.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from functools import cache
from pathlib import Path

from cl_strategies.cli.describing.hours import HOURS, hours_text
from cl_strategies.experiment.config.suite import Suite, recipes
from cl_strategies.registry import Entry, registry

ROOT = Path(__file__).resolve().parents[1]
PAPERS = ("ALASSO", "HALRP", "CIM", "AlignQ", "LifeQuant")
PAGES = {
    "methods": ROOT / "docs" / "methods" / "index.md",
    "recipes": ROOT / "docs" / "recipes.md",
    "decisions": ROOT / "docs" / "choosing.md",
}
#: What a method needs -> what it keeps of old samples.
KEPT = {
    "the whole stream at once": "all, from the start",
    "all past data": "all",
    "a share of old data": "a share of them",
}
LABELS = ("task labels", "the identity of the experience at evaluation")
MARKS = re.compile(r"(<!-- (methods|recipes|papers|decisions) -->\n).*?(<!-- end -->)", re.DOTALL)


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
            group.update(re.findall(r"\b(?:[A-Z]?\d+\w?|[A-Z])\b", numbers))
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
    """The file that tests ``entry``: the one named after it, or that which is most about it.

    That is the share of its mentions among those of all methods, times their number.
    """
    module = entry.name.replace("-", "_")
    if own := [file for file in texts_of_tests() if file.endswith(f"/test_{module}.py")]:
        return own[0]
    mentions = {file: found[entry.name] for file, found in mentioned().items() if found[entry.name]}
    return max(mentions, key=lambda f: mentions[f] ** 2 / mentioned()[f].total(), default="")


@cache
def mentioned() -> dict[str, Counter[str]]:
    """How often each test names each method, by its name or its class."""
    names = {
        entry.name: re.compile(rf"\b{entry.factory.partition(':')[2]}(Plugin)?\b|\"{entry.name}\"")
        for entry in registry("strategies")
    }
    return {
        file: Counter({name: len(pattern.findall(text)) for name, pattern in names.items()})
        for file, text in texts_of_tests().items()
    }


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
    lines = ["| recipe | what | expected cost |", "|---|---|---|"]
    for name, suite in suites().items():
        cost = hours_text({key: getattr(suite, key) for key in HOURS})
        lines.append(f"| `{name}` | {suite.title} | {cost} |")
    return "\n".join(lines) + "\n"


@cache
def paper_tables() -> list[dict[str, str]]:
    """The rows of ``paper_tables.csv``."""
    with open(ROOT / "docs" / "paper_tables.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def papers() -> str:
    """The table of the papers' tables and figures."""
    lines = ["| paper | where | what | recipe | remarks |", "|" + "---|" * 5]
    for row in paper_tables():
        recipe = ", ".join(f"`{name}`" for name in row["recipes"].split()) or "none"
        cells = (row["paper"], row["place"], row["what"], recipe, row["note"] or "none")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


@cache
def sizes() -> dict[str, str]:
    """Bytes of parameters and method state of each method, in those of the naive network."""
    with open(ROOT / "docs" / "sizes.csv", newline="", encoding="utf-8") as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}
    naive = int(rows["naive"]["parameter_bytes"])
    return {
        name: f"{(int(row['parameter_bytes']) + int(row['method_state_bytes'])) / naive:.1f}"
        for name, row in rows.items()
    }


def kept(entry: Entry) -> str:
    """What ``entry`` keeps of old samples, in words."""
    if "a replay memory" in entry.needs:
        return "in bytes" if "mem_bytes" in entry.parameters() else "in samples"
    return next((KEPT[need] for need in entry.needs if need in KEPT), "none")


def decisions() -> str:
    """The table to choose a method by."""
    lines = [
        "| method | streams | task labels | old samples | size | needs besides |",
        "|" + "---|" * 6,
    ]
    for entry in registry("strategies"):
        said = {"a replay memory", *KEPT, *LABELS}
        cells = (
            f"[`{entry.name}`](methods/{entry.name}.md)",
            "any" if len(entry.scenarios) == 3 else ", ".join(sorted(entry.scenarios)),
            "yes" if set(LABELS) & set(entry.needs) else "no",
            kept(entry),
            sizes().get(entry.name, "not measured"),
            ", ".join(need for need in entry.needs if need not in said) or "nothing",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def filled(text: str) -> str:
    """``text`` with the present tables between its marks."""
    tables = {
        "methods": methods,
        "recipes": recipe_table,
        "papers": papers,
        "decisions": decisions,
    }
    return MARKS.sub(lambda match: match[1] + tables[match[2]]() + match[3], text)


if __name__ == "__main__":
    for page in PAGES.values():
        page.write_text(filled(page.read_text()))
