"""The rooms: how large they are, and that imports lead downwards only."""

from __future__ import annotations

import re
from collections import Counter
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[2]
#: One small file for each registered name.
PER_NAME = "cl_strategies/strategies"


def order() -> list[str]:
    """The folders from the lowest to the highest, as CONTRIBUTING.md lists them."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    block = re.search(r"```text\n(.*?)```", text, re.DOTALL)
    assert block is not None
    return [line.split()[0].rstrip("/") for line in block[1].splitlines() if line.strip()]


def test_no_circle_among_files(modules):
    graph = {module.name: module.imports for module in modules.values()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise AssertionError(f"these files import one another: {error.args[1]}") from None


def test_no_file_imports_from_a_higher_folder(modules):
    rank = {folder: position for position, folder in enumerate(order())}
    upwards = {
        f"{module.path} imports {modules[name].path}"
        for module in modules.values()
        if not module.path.endswith("__main__.py")  # the door of the command line
        for name in module.imports
        if rank[modules[name].folder] > rank[module.folder]
    }
    assert not upwards


def test_the_order_in_contributing_lists_every_folder_once(modules):
    assert Counter(order()) == Counter({module.folder for module in modules.values()})


def test_folders_and_files_are_small(modules):
    files = Counter(module.folder for module in modules.values())
    del files[PER_NAME]
    assert max(files.values()) <= 16, files.most_common(3)
    lines = {module.path: module.lines for module in modules.values()}
    assert max(lines.values()) <= 400, max(lines, key=lines.__getitem__)
    assert median(lines.values()) <= 130


def test_folders_of_tests_are_small():
    files = Counter(path.parent for path in (ROOT / "tests").rglob("*.py"))
    assert max(files.values()) <= 16, files.most_common(3)
