"""Train beside other implementations: ``python docs/parity_runs.py``.

Writes ``reports/published/parity/runs.csv``, run by run and going on where it stopped, and the
tables of docs/parity.md, with what the others' code gave. The trainings are those of
``tests/parity``.
"""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Callable, Iterator
from functools import cache
from statistics import mean, stdev
from typing import Any

from measured import PUBLISHED, ROOT

sys.path.insert(0, str(ROOT / "tests" / "parity"))
import test_class_incremental as classes
import test_regularizers as penalties
import test_task_incremental as tasks

CSV = PUBLISHED / "parity" / "runs.csv"
PAGE = ROOT / "docs" / "parity.md"
MARKS = re.compile(r"(<!-- parity: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
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


def runs() -> Iterator[tuple[Run, Callable[[], tuple[Any, ...]]]]:
    """Every run, and what does it."""
    for (method, head, measure), name in CLASSES.items():
        for network in range(classes.NETWORKS.get(method, 1)):
            for seed in classes.peer(method, measure)[0]:

                def one(
                    m: str = method,
                    h: str = head,
                    k: str = measure,
                    s: int = seed,
                    n: int = network,
                ) -> tuple[Any, ...]:
                    curve = classes.ours(m, h, s, s + 100 * n)[k]
                    return mean(curve), curve[-1], ""

                yield ("classes", name, seed, network), one
    for key, name in TASKS.items():
        for seed in SEEDS:

            def two(k: str = key, s: int = seed) -> tuple[Any, ...]:
                row = tasks.measured(tasks.CASES[k], _data(), s)
                growth = "" if row["growth"] is None else row["growth"]
                return 100 * row["average"], 100 * row["bwt"], growth

            yield ("tasks", name, seed, 0), two
    for method, strength in penalties.CASES:
        for seed in SEEDS:

            def three(m: str = method, x: float = strength, s: int = seed) -> tuple[Any, ...]:
                row = penalties.measured(m, x, _data(), s)
                return 100 * row["average"], 100 * row["bwt"], 100 * row["learned"]

            yield ("penalties", f"{NAMES[method]} {strength:g}", seed, 0), three


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
    made = {"classes": _classes, "tasks": _tasks, "penalties": _penalties}
    return MARKS.sub(lambda match: f"{match[1]}\n{made[match[2]]()}\n{match[3]}", page)


def _ours(table: str, name: str, column: str) -> list[float]:
    rows = [row for row in read() if (row["table"], row["method"]) == (table, name)]
    return [float(row[column]) for row in rows if row[column]]


def _shown(values: list[float], decimals: int = 1) -> str:
    if not values:
        return ""
    spread = f" ± {stdev(values):.{decimals}f}" if len(values) > 1 else ""
    return f"{mean(values):.{decimals}f}{spread}"


def _classes() -> str:
    lines = [
        "| method | runs | average here | peer | last here | peer |",
        "|---|---:|" + "---:|" * 4,
    ]
    for (method, _, measure), name in CLASSES.items():
        _, average, last = classes.peer(method, measure)
        ours = [_ours("classes", name, column) for column in ("average", "other")]
        peers = "" if average is None else f"{average:.1f}"
        here = _shown(ours[0]) if peers else ""
        lines.append(
            f"| {name} | {len(ours[1])} | {here} | {peers} | {_shown(ours[1])} | {last:.1f} |"
        )
    return "\n".join(lines) + "\n"


def _tasks() -> str:
    head = "| method | average here | authors | BWT here | authors | growth here | authors |"
    lines = [head, "|---|" + "---:|" * 6]
    for key, name in TASKS.items():
        theirs = tasks.CASES[key].rows()
        cells = [f"| {name}"]
        for column, their, scale, decimals in (
            ("average", "average", 100, 1),
            ("other", "bwt", 100, 1),
            ("third", "growth", 1, 2),
        ):
            values = [row[their] * scale for row in theirs if row[their] is not None]
            ours = _ours("tasks", name, column)
            shown = _shown(values[:1], decimals) if ours else ""
            cells += [_shown(ours, decimals), shown]
        lines.append(" | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _penalties() -> str:
    head = "| method | average here | peer | BWT here | peer | learned here | peer |"
    lines = [head, "|---|" + "---:|" * 6]
    for method, strength in penalties.CASES:
        name = f"{NAMES[method]} {strength:g}"
        (theirs,) = (
            row
            for row in penalties.PEERS
            if (row["method"], row["setting"]["strength"]) == (method, strength)
        )
        cells = [f"| {name}"]
        for column, their in (("average", "average"), ("other", "bwt"), ("third", "learned")):
            cells += [_shown(_ours("penalties", name, column)), f"{100 * theirs[their]:.1f}"]
        lines.append(" | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    train()
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
