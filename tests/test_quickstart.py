"""What `make compare` promises, at its full size."""

import statistics
from dataclasses import replace

import pytest

from cl_strategies.experiment.config.suite import Suite
from cl_strategies.experiment.sweep.compare import compare


def accuracies(suite, out):
    comparison = compare(suite.configs(), out)
    assert not comparison.problems and not comparison.failed
    found = {}
    for record in comparison.records:
        found.setdefault(record.strategy, []).append(record.metric("average_accuracy"))
    return {strategy: statistics.mean(values) for strategy, values in found.items()}


@pytest.mark.slow
def test_si_and_alasso_end_above_naive_on_permuted_digits(tmp_path):
    suite = Suite.from_toml("quickstart")
    rows = [row for row in suite.strategies if row["name"] in ("naive", "si", "alasso")]
    streams = [row for row in suite.benchmarks if row["name"] == "permuted-digits"]
    assert streams[0]["n_experiences"] == 10 and len(suite.seeds) == 5
    found = accuracies(replace(suite, strategies=rows, benchmarks=streams), tmp_path)
    assert found["si"] >= found["naive"] + 0.03
    assert found["alasso"] >= found["naive"] + 0.03


def test_the_quickstart_compares_what_it_promises():
    suite = Suite.from_toml("quickstart")
    names = {row["name"] for row in suite.strategies}
    assert names >= {"naive", "joint", "ewc", "mas", "si", "alasso", "lwf", "replay"}
    assert [row["name"] for row in suite.benchmarks] == ["permuted-digits", "split-digits"]
    assert suite.shared["run"] == {"portable": True}
    assert len(suite.seeds) == 5 and not set(suite.seeds) & set(suite.tuning["seeds"])


def test_every_strength_of_the_quickstart_comes_from_its_tuning_grid():
    suite = Suite.from_toml("quickstart")
    grid = set(suite.tuning["grid"]["strength"])
    for benchmark in suite.benchmarks:
        for strategy in suite.strategies:
            if "strength" in strategy:
                chosen = suite.tables(benchmark, strategy)["strategy"][strategy["strength"]]
                assert chosen in grid, (benchmark["name"], strategy["name"])
