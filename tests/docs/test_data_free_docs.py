"""The scripts in the pages of data-free quantization run as they stand."""

import re
from pathlib import Path

import pytest

PAGES = Path(__file__).parents[2] / "docs" / "methods"
TRAINED = [pytest.param(name, marks=pytest.mark.slow) for name in ("zaq", "qimera", "intraq")]


@pytest.mark.parametrize("method", ["zeroq", *TRAINED])
def test_the_script_in_the_page_of_a_method_runs(method):
    (script,) = re.findall(r"```python\n(.*?)```", (PAGES / f"{method}.md").read_text(), re.S)
    names = {"__name__": method}
    exec(compile(script, f"{method}.md", "exec"), names)
    assert names["strategy"].evaluated_model is names["strategy"].quantized
    (accuracy,) = [v for k, v in names["results"].items() if k.startswith("Top1_Acc_Exp")]
    assert accuracy > 0.7
