"""Both notebooks run from an empty folder, and are stored without outputs."""

from __future__ import annotations

import json
from pathlib import Path

import notebooks
import pytest

pd = pytest.importorskip("pandas")
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PAGES = sorted(EXAMPLES.glob("*.ipynb"))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_notebook_is_of_the_format_and_holds_no_output(path):
    book = json.loads(path.read_text(encoding="utf-8"))
    assert (book["nbformat"], book["nbformat_minor"]) == (4, 5)
    assert book["metadata"]["kernelspec"]["name"] == "python3"
    ids = [cell["id"] for cell in book["cells"]]
    assert len(ids) == len(set(ids))
    for cell in book["cells"]:
        extra = {"outputs", "execution_count"} if cell["cell_type"] == "code" else set()
        assert set(cell) == {"cell_type", "id", "metadata", "source"} | extra
        assert not cell.get("outputs") and cell.get("execution_count") is None


def shown(path):
    """What the cells of a notebook show that show something."""
    return [value for value in notebooks.run(path) if value is not None]


def test_the_tutorial_runs(empty_folder, capsys):
    values = shown(EXAMPLES / "tutorial.ipynb")
    assert "replay" in values[0]._repr_html_() and "joint" in values[0]._repr_html_()
    assert values[1]._repr_png_()[:4] == b"\x89PNG"
    said = capsys.readouterr().out
    assert "6 runs, 0 failed" in said and said.count("images") == 5
    matrix = [line for line in said.splitlines() if line.startswith((" [", "[["))]
    assert len(matrix) == 5


def test_reading_results_runs(empty_folder, capsys):
    values = shown(EXAMPLES / "reading_results.ipynb")
    assert values[0] == 9
    frames = [value for value in values if isinstance(value, pd.DataFrame)]
    assert len(frames) == 6 and all(len(frame) for frame in frames)
    summary, runs, matrix = frames[:3]
    assert (summary.n == 3).all() and set(runs.status) == {"finished"}
    assert matrix.shape == (3, 3) and matrix.loc[2, 0] < matrix.loc[0, 0]  # naive forgets
    assert sum(hasattr(value, "_repr_png_") for value in values) == 2
    assert (empty_folder / "accuracy.pdf").stat().st_size > 0
    assert r"\begin{tabular}" in capsys.readouterr().out
