"""The scripts in the pages of L2, SI and ALASSO run as they stand."""

import re
from pathlib import Path

import pytest

PAGES = Path(__file__).parents[2] / "docs" / "methods"


@pytest.mark.parametrize("method", ["l2", "si", "alasso"])
def test_the_script_in_the_page_of_a_method_runs(method):
    (script,) = re.findall(r"```python\n(.*?)```", (PAGES / f"{method}.md").read_text(), re.S)
    names = {"__name__": method}
    exec(compile(script, f"{method}.md", "exec"), names)
    accuracies = [v for k, v in names["results"].items() if k.startswith("Top1_Acc_Exp")]
    assert len(accuracies) == 5
    assert sum(accuracies) / 5 > 0.7
