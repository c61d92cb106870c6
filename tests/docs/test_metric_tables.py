"""The page of metrics: its tables are those of the definitions, its examples run."""

from __future__ import annotations

import ast
import re
import runpy
from pathlib import Path

from cl_strategies.plugins.metrics import functional

DOCS = Path(__file__).resolve().parents[2] / "docs"
SCRIPT = runpy.run_path(str(DOCS / "metric_tables.py"))
PAGE = (DOCS / "metrics.md").read_text()
BLOCK = re.compile(r"```python\n(from cl_strategies.plugins.metrics.*?)```", re.DOTALL)


def test_tables_are_up_to_date():
    assert SCRIPT["filled"](PAGE) == PAGE, "run: python docs/metric_tables.py"


def test_every_metric_is_in_a_table():
    groups = set(re.findall(r"<!-- metrics: (\w+) -->", PAGE))
    assert groups == {definition.group for definition in functional.DEFINITIONS.values()}


def test_what_the_examples_say_comes_out():
    checked = 0
    for block in BLOCK.findall(PAGE):
        names: dict[str, object] = {}
        for node in ast.parse(block).body:
            code = ast.get_source_segment(block, node)
            if isinstance(node, ast.Expr):
                said = block.splitlines()[node.end_lineno - 1].partition("  # ")[2]
                assert f"{eval(code, names):.4g}" == said, code
                checked += 1
            else:
                exec(code, names)
    assert checked >= 6
