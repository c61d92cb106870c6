"""Train beside other implementations: ``python docs/parity_runs.py``.

Writes ``reports/published/parity/runs.csv``, run by run and going on where it stopped, and the
tables of docs/parity.md, with what the others' code gave. The trainings are those of
``tests/parity``.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from statistics import mean, stdev
from typing import Any

from measured import PUBLISHED, ROOT, filled

sys.path.insert(0, str(ROOT / "tests" / "parity"))
import test_class_incremental as classes
import test_regularizers as penalties
import test_task_incremental as tasks

CSV = PUBLISHED / "parity" / "runs.csv"
PAGE = ROOT / "docs" / "parity.md"
#: A run, and what was measured: the third is growth, or the accuracy right after a task.
COLUMNS = ("table", "method", "seed", "network", "average", "other", "third")
SEEDS = range(5)
CLASSES = {
    ("finetune", "growing", "linear"): "fine-tuning",
    ("replay", "growing", "linear"): "replay, head that grows",
    ("replay", "wide", "linear"): "replay, head of fixed size",
    ("wa", "growing", "linear"): "WA",
    ("icarl", "growing", "linear"): "iCaRL, scores",
    ("icarl", "growing", "nme"): "iCaRL, nearest mean",
    ("bic", "growing", "linear"): "BiC",
    ("podnet", "growing", "linear"): "PODNet",
    ("foster", "growing", "teacher"): "FOSTER, both backbones",
    ("foster", "growing", "student"): "FOSTER, student",
    ("der", "growing", "linear"): "DER",
}
TASKS = {
    "gpm-0.9": "GPM, threshold 0.9",
    "gpm-0.97": "GPM, 0.97 + 0.003 per task",
    "wsn-0.5": "WSN, half of the weights",
    "wsn-0.1": "WSN, a tenth",
    "halrp": "HALRP",
}
NAMES = {"si": "SI", "ewc": "EWC", "lwf": "LwF"}
Run = tuple[str, str, int, int]
#: Values of all runs, by table, method and column.
Ours = dict[tuple[str, str, str], list[float]]


def runs() -> Iterator[tuple[Run, Callable[[], tuple[Any, ...]]]]:
    """Every run, and what does it."""
    for (method, head, measure), name in CLASSES.items():
        for network in range(classes.NETWORKS.get(method, 1)):
            for seed in classes.peer(method, measure)[0]:
                do = partial(_class_run, method, head, measure, seed, seed + 100 * network)
                yield ("classes", name, seed, network), do
    for key, name in TASKS.items():
        for seed in SEEDS:
            yield ("tasks", name, seed, 0), partial(_task_run, key, seed)
    for method, strength in penalties.CASES:
        for seed in SEEDS:
            do = partial(_penalty_run, method, strength, seed)
            yield ("penalties", _name(method, strength), seed, 0), do


def _class_run(method: str, head: str, measure: str, seed: int, network: int) -> tuple[Any, ...]:
    curve = classes.ours(method, head, seed, network)[measure]
    return mean(curve), curve[-1], ""


def _task_run(key: str, seed: int) -> tuple[Any, ...]:
    row = tasks.measured(tasks.CASES[key], _data(), seed)
    return 100 * row["average"], 100 * row["bwt"], "" if row["growth"] is None else row["growth"]


def _penalty_run(method: str, strength: float, seed: int) -> tuple[Any, ...]:
    row = penalties.measured(method, strength, _data(), seed)
    return 100 * row["average"], 100 * row["bwt"], 100 * row["learned"]


def _name(method: str, strength: float) -> str:
    return f"{NAMES[method]} {strength:g}"


@cache
def _data() -> Any:
    return tasks.load_dataset("fashion-mnist")


def read() -> list[dict[str, str]]:
    """The rows of ``runs.csv``."""
    if not CSV.exists():
        return []
    with CSV.open(newline="") as file:
        return list(csv.DictReader(file))


def train() -> None:
    """Do the runs that are not in the file yet."""
    done = {(row["table"], row["method"], row["seed"], row["network"]) for row in read()}
    CSV.parent.mkdir(parents=True, exist_ok=True)
    with CSV.open("a", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        if not done:
            table.writerow(COLUMNS)
        for run, do in runs():
            if tuple(map(str, run)) not in done:
                table.writerow(
                    [*run, *(value if value == "" else f"{value:.4f}" for value in do())]
                )
                file.flush()
                print(*run)


def written(page: str) -> str:
    """Return the page with its tables."""
    ours: Ours = {}
    for row in read():
        for column in COLUMNS[4:]:
            if row[column]:
                found = ours.setdefault((row["table"], row["method"], column), [])
                found.append(float(row[column]))
    made = {"classes": _classes, "tasks": _tasks, "penalties": _penalties}
    return filled(page, ["parity"], lambda _, table: made[table](ours))


def _shown(values: Sequence[float], decimals: int = 1) -> str:
    if not values:
        return ""
    spread = f" ± {stdev(values):.{decimals}f}" if len(values) > 1 else ""
    return f"{mean(values):.{decimals}f}{spread}"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _classes(ours: Ours) -> str:
    rows = []
    for (method, _, measure), name in CLASSES.items():
        _, average, last = classes.peer(method, measure)
        averages, lasts = (ours["classes", name, column] for column in ("average", "other"))
        known = ["", ""] if average is None else [_shown(averages), f"{average:.1f}"]
        rows.append([name, str(len(lasts)), *known, _shown(lasts), f"{last:.1f}"])
    return _table(["method", "runs", "average here", "peer", "last here", "peer"], rows)


def _beside(
    ours: Ours, table: str, name: str, theirs: Mapping[str, Any], third: str
) -> Iterator[str]:
    """Cells of a method: ours and theirs of each measure, of which ``third`` is the last."""
    for column, measure in zip(COLUMNS[4:], ("average", "bwt", third), strict=True):
        scale, decimals = (1, 2) if measure == "growth" else (100, 1)
        known = theirs[measure] is not None and (table, name, column) in ours
        yield _shown(ours.get((table, name, column), []), decimals)
        yield _shown([theirs[measure] * scale], decimals) if known else ""


def _tasks(ours: Ours) -> str:
    head = ["average here", "authors", "BWT here", "authors", "growth here", "authors"]
    rows = []
    for key, name in TASKS.items():
        theirs = tasks.CASES[key].rows()[0]
        rows.append([name, *_beside(ours, "tasks", name, theirs, "growth")])
    return _table(["method", *head], rows)


def _penalties(ours: Ours) -> str:
    head = ["average here", "peer", "BWT here", "peer", "learned here", "peer"]
    peers = {(row["method"], row["setting"]["strength"]): row for row in penalties.PEERS}
    rows = []
    for case in penalties.CASES:
        name = _name(*case)
        rows.append([name, *_beside(ours, "penalties", name, peers[case], "learned")])
    return _table(["method", *head], rows)


def main() -> None:
    train()
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
