"""The scripts in the pages of quantization run as they stand."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[3] / "docs"


def scripts(page):
    return re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.S)


@pytest.mark.parametrize("method", ["alignq", pytest.param("lifequant", marks=pytest.mark.slow)])
def test_the_script_in_the_page_of_a_method_runs(method):
    (script,) = scripts(f"methods/{method}.md")
    names = {"__name__": method}
    exec(compile(script, f"{method}.md", "exec"), names)
    accuracies = [v for k, v in names["results"].items() if k.startswith("Top1_Acc_Exp")]
    assert sum(accuracies) / len(accuracies) > 0.7


def test_the_scripts_in_the_page_on_quantization_run(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    found = scripts("quantization.md")
    assert len(found) >= 4
    for script in found:
        exec(compile(script, "quantization.md", "exec"), {"__name__": "quantization"})


def test_the_script_on_the_costs_of_quantization_runs(capsys):
    found = [script for script in scripts("metrics.md") if "layer_errors" in script]
    assert len(found) == 1
    exec(compile(found[0], "metrics.md", "exec"), {"__name__": "metrics"})
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 3 and all(float(inter) > 0 for _, _, inter in lines)
