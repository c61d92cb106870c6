"""The tables of docs/parity.md are those of the published runs, of which each has five or more."""

from __future__ import annotations

from collections import Counter

import pytest


def test_the_page_has_the_tables_of_the_file() -> None:
    from parity_runs import PAGE, written

    text = PAGE.read_text("utf-8")
    assert written(text) == text, "run python docs/parity_runs.py"


def test_every_run_that_is_named_is_in_the_file() -> None:
    from parity_runs import read, runs

    found = [(row["table"], row["method"], int(row["seed"]), int(row["network"])) for row in read()]
    assert sorted(found) == sorted(run for run, _ in runs())
    assert min(Counter(run[:2] for run in found).values()) >= 5


@pytest.mark.slow
@pytest.mark.parametrize("table", ["classes", "tasks", "penalties"])
def test_a_run_repeats(table: str) -> None:
    from parity_runs import read, runs

    run, do = next((run, do) for run, do in runs() if run[0] == table)
    row = next(row for row in read() if (row["table"], row["method"]) == run[:2])
    assert [row["average"], row["other"]] == [f"{value:.4f}" for value in do()[:2]]
