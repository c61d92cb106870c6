"""Hyper-parameters for every method of a suite from one grid, on seeds and data of their own.

The suite's ``[tuning]`` table::

    [tuning]
    seeds = [1000, 1001]        # none that the comparison uses
    validation = 0.2            # part of the training data held out; the test data stay unseen
    [tuning.grid]
    "train.lr" = [0.001, 0.003]
    strength = [0.1, 1.0, 10.0]

    [tuning.strategies.wsn]     # of one strategy: added, or in place of the same key above
    capacity = [0.3, 0.5, 0.7]

Every strategy is tried with every learning rate; one that has the option ``strength``, and no value
for it in its ``[[strategies]]`` table, also with every strength.
"""

from __future__ import annotations

import csv
import io
import itertools
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from cl_strategies.errors import UserError
from cl_strategies.errors.text import csv_cell
from cl_strategies.experiment.config.data_root import check_paths
from cl_strategies.experiment.config.run_config import ExperimentConfig, override
from cl_strategies.experiment.config.suite import Suite, label_of
from cl_strategies.experiment.directory.run_directory import RunDirectory
from cl_strategies.experiment.sweep.attempts import Watching
from cl_strategies.experiment.sweep.compare import Comparison, Progress, compare
from cl_strategies.experiment.sweep.tuning_grid import (
    at_border,
    check_overrides,
    check_tuning,
    tuned_keys,
)
from cl_strategies.io.atomic import write_text

METRIC = "average_accuracy"
#: The table of a suite that comes from no file.
TUNING: Mapping[str, Any] = {
    "seeds": [1000, 1001],
    "validation": 0.2,
    "grid": {
        "train.lr": [0.0003, 0.001, 0.003],
        "strength": [0.1, 1.0, 10.0, 100.0, 1000.0, 10000.0],
    },
}


@dataclass(frozen=True)
class Trial:
    """One point of the grid for one strategy on one benchmark.

    :param benchmark: its name, with its options if the suite has it several times.
    :param settings: dotted keys and values, such as ``{"train.lr": 0.001}``.
    :param own: name and options of the benchmark, as the suite has them.
    :param grid: dotted keys, and all values that are tried for them.
    """

    benchmark: str
    strategy: str
    settings: Mapping[str, Any]
    configs: Sequence[ExperimentConfig]
    own: Mapping[str, Any]
    grid: Mapping[str, Sequence[Any]]


def trials(suite: Suite, overrides: Mapping[str, Any] | None = None) -> list[Trial]:
    """Return the grid of a suite, written out, without strategies for which it varies nothing.

    :param overrides: set for all runs, by ``table.key``; what is set is not tried, and the data
        folder that is set may be anywhere.
    :raises UserError: if ``[tuning]`` is missing, incomplete or shares seeds with the suite, or if
        nothing of its grid is left.
    """
    overrides = overrides or {}
    seeds, validation = check_tuning(suite)
    check_overrides(suite, overrides)
    result = []
    for benchmark, strategy in itertools.product(suite.benchmarks, suite.strategies):
        keys = tuned_keys(suite, strategy, overrides)
        if not keys:
            continue
        for point in itertools.product(*keys.values()):
            settings = dict(zip(keys, point, strict=True))
            tables = suite.tables(benchmark, strategy)
            own = dict(tables["benchmark"])
            tables["benchmark"]["validation"] = validation
            config = ExperimentConfig.from_dict(override(tables, {**overrides, **settings}))
            if suite.source is not None and "benchmark.data_root" not in overrides:
                check_paths(config.benchmark.options, suite.source)
            configs = [config.with_seed(seed) for seed in seeds]
            name = _label(own, suite)
            result.append(Trial(name, label_of(strategy), settings, configs, own, keys))
    if not result:
        raise UserError("nothing is left to tune: no strategy has an option that [tuning] varies")
    return result


def tune(
    suite: Suite,
    out: str | Path,
    *,
    overrides: Mapping[str, Any] | None = None,
    executor_name: str = "process",
    executor_options: Mapping[str, Any] | None = None,
    jobs: int | None = None,
    progress: Progress | None = None,
    watch: Watching | None = None,
    told: Callable[[Comparison], None] | None = None,
    warn: Callable[[str], None] | None = None,
) -> Path:
    """Run the grid, write ``out/tuning.csv`` and ``out/tuned.toml``; return the latter.

    The best mean final average accuracy on the held-out data wins; the first of equals.
    A setting with a failed run is not chosen.

    :param overrides: as for :func:`trials`.
    :param watch: as for :func:`~cl_strategies.experiment.sweep.compare.compare`.
    :param told: called with what became of the runs, before anything is chosen.
    :param warn: called with a sentence for each best value at the border of its grid.
    :raises UserError: for a bad suite, or where every setting of a strategy failed.
    """
    out = Path(out)
    grid = trials(suite, overrides)
    comparison = compare(
        [config for trial in grid for config in trial.configs],
        out,
        executor_name=executor_name,
        executor_options=executor_options,
        jobs=jobs,
        progress=progress,
        watch=watch,
    )
    if told is not None:
        told(comparison)
    scored = [(trial, _scores(trial, out, comparison)) for trial in grid]
    write_text(out / "tuning.csv", _table(scored))

    owns = {trial.benchmark: trial.own for trial in grid}
    chosen: dict[str, dict[str, Any]] = {}
    for (benchmark, strategy), group in itertools.groupby(
        scored, key=lambda pair: (pair[0].benchmark, pair[0].strategy)
    ):
        complete = [(t, s) for t, s in group if len(s) == len(t.configs)]
        if not complete:
            raise UserError(
                f"every setting of {strategy} failed on {benchmark}: the reasons are in "
                f"{out / 'runs'}; change [tuning.grid]"
            )
        best, _ = max(complete, key=lambda pair: statistics.mean(pair[1]))
        chosen.setdefault(benchmark, {})[strategy] = _nested(best.settings)
        for key, value in at_border(best.grid, best.settings).items():
            sentence = (
                f"the best {key} of {strategy} on {benchmark}, {value}, is at the border of its "
                "grid: widen it, as a better one may lie beyond"
            )
            if warn is not None:
                warn(sentence)
    rows = [{**owns[benchmark], "strategies": won} for benchmark, won in chosen.items()]
    write_text(out / "tuned.toml", tomli_w.dumps({"benchmarks": rows}))
    return out / "tuned.toml"


def _label(own: Mapping[str, Any], suite: Suite) -> str:
    """Return the name of a benchmark, and its options if the name does not tell it from another."""
    if [row["name"] for row in suite.benchmarks].count(own["name"]) == 1:
        result: str = own["name"]
        return result
    options = ", ".join(f"{key}={value}" for key, value in own.items() if key != "name")
    return f"{own['name']} ({options})"


def _scores(trial: Trial, out: Path, comparison: Comparison) -> list[float]:
    usable = [config for config in trial.configs if config.slug not in comparison.problems]
    records = [RunDirectory(out, config).record() for config in usable]
    return [record.metric(METRIC) for record in records if record and record.finished]


def _table(scored: Sequence[tuple[Trial, list[float]]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["benchmark", "strategy", "settings", f"mean_{METRIC}", "std", "n"])
    for trial, scores in scored:
        settings = " ".join(f"{key}={value}" for key, value in trial.settings.items())
        mean = statistics.mean(scores) if scores else ""
        spread = statistics.stdev(scores) if len(scores) > 1 else ""
        names = map(csv_cell, (trial.benchmark, trial.strategy, settings))
        writer.writerow([*names, mean, spread, len(scores)])
    return text.getvalue()


def _nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``{"train.lr": 1, "strategy.c": 2}`` -> ``{"c": 2, "train": {"lr": 1}}``."""
    nested: dict[str, Any] = {}
    for key, value in settings.items():
        table, _, option = key.partition(".")
        (nested if table == "strategy" else nested.setdefault(table, {}))[option] = value
    return nested
