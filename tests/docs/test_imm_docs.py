"""The pages of IMM, SGD with dropout and online EWC: their examples run, and functions exist."""

import re
from pathlib import Path

import pytest
import torch

from cl_strategies.plugins.merging import functional as merging
from cl_strategies.plugins.regularization import functional as regularization

PAGES = Path(__file__).parents[2] / "docs" / "methods"
NAMES = {
    "imm-mean": (merging, ["merge_weights", "mean_merge", "share_of_last"]),
    "imm-mode": (merging, ["mode_merge", "share_of_last"]),
    "sgd-dropout": (None, []),
    "ewc": (regularization, ["accumulate_importance"]),
}


@pytest.mark.parametrize("name", NAMES)
def test_the_example_runs(name):
    torch.manual_seed(0)
    blocks = re.findall(r"```python\n(.*?)```", (PAGES / f"{name}.md").read_text(), flags=re.DOTALL)
    assert blocks
    for block in blocks:
        found = {}
        exec(compile(block, name, "exec"), found)
        assert found["results"] and ("merged" in found) == name.startswith("imm")


@pytest.mark.parametrize("name", NAMES)
def test_functions_are_where_the_page_says(name):
    page = (PAGES / f"{name}.md").read_text()
    module, functions = NAMES[name]
    for function in functions:
        assert f"`{function}`" in page and hasattr(module, function)
