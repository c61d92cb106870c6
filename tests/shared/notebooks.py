"""Run a notebook's cells as a kernel does, in this process and without Jupyter."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Cell:
    """A cell of a notebook: ``"code"`` or ``"markdown"``, and its text."""

    kind: str
    text: str


def cells(path: Path) -> list[Cell]:
    """Read the cells of a notebook of format 4."""
    return [
        Cell(cell["cell_type"], "".join(cell["source"]))
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]
    ]


def run(path: Path) -> Iterator[Any]:
    """Run the code cells in turn, in one namespace, and yield what each shows.

    That is the value of the last line if it is an expression, else ``None``.
    """
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for number, cell in enumerate(cells(path)):
        if cell.kind != "code":
            continue
        tree = ast.parse(cell.text)
        name = f"{path.name}, cell {number}"
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, name, "exec"), namespace)
        yield last and eval(compile(ast.Expression(last.value), name, "eval"), namespace)
