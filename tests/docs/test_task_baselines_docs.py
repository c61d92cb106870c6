"""The pages of HALRP's baselines: their examples run, and equations are where they say."""

import importlib
import re
from pathlib import Path

import pytest

PAGES = Path(__file__).parents[2] / "docs" / "methods"
NAMES = ["batch-norm", "batch-ensemble", "gpm", "wsn", "bmkp", "iru", "ibp-wf", "apd", "apd-fixed"]
FAMILIES = {
    "clr": "task_layers",
    "prd": "contrastive",
    "batch-ensemble": "task_layers",
    "gpm": "projection",
    "wsn": "subnetworks",
    "bmkp": "projection",
    "iru": "low_rank",
    "ibp-wf": "bayesian",
    "apd": "task_layers",
    "apd-fixed": "task_layers",
}


@pytest.mark.parametrize("name", [*NAMES, "clr", "prd"])
def test_the_example_runs(name, capsys):
    page = (PAGES / f"{name}.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, name, "exec"), {})
    assert capsys.readouterr().out


@pytest.mark.parametrize(("name", "family"), FAMILIES.items())
def test_every_equation_is_where_the_page_says(name, family):
    page = (PAGES / f"{name}.md").read_text()
    table = page.split("## From equation to code")[1].split("\n## ")[0]
    named = re.findall(r"`(\w+)\.(\w+)`", table)
    assert len(named) >= 3
    for module, attribute in named:
        assert hasattr(
            importlib.import_module(f"cl_strategies.plugins.{family}.{module}"), attribute
        )
