"""The pages on exemplars and CIM: their examples run, their tables are complete."""

import importlib
import re
from pathlib import Path

import pytest

from cl_strategies.plugins.exemplars.codecs.catalog import ENTRIES

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("page", ["exemplars.md", "methods/cim.md", "methods/compressed-replay.md"])
def test_the_examples_run(page, capsys):
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), flags=re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, page, "exec"), {})
    assert "bytes_used" in capsys.readouterr().out


def test_every_codec_is_in_the_table():
    page = (DOCS / "exemplars.md").read_text()
    for entry in ENTRIES:
        (row,) = re.findall(rf"^\| `{entry.name}` \| ([^0-9|][^|]*|)\|", page, flags=re.MULTILINE)
        assert all(f"`{option}`" in row for option in entry.defaults())


def test_every_equation_is_where_the_page_says():
    page = (DOCS / "methods" / "cim.md").read_text()
    for module, name in re.findall(r"`((?:masking|exemplars)\.\w+)\.(\w+)`", page):
        assert hasattr(importlib.import_module(f"cl_strategies.plugins.{module}"), name)
