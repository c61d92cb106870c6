"""Recipes that run every method of a scenario: a method that is registered is in them."""

from __future__ import annotations

from collections import Counter

import pytest

from cl_strategies.experiment.config.suite import Suite
from cl_strategies.experiment.sweep.preflight import check_configs
from cl_strategies.registry import registry


@pytest.mark.parametrize("scenario", ["class", "task", "domain"])
def test_every_method_of_a_scenario_is_there_once_and_can_be_run(scenario: str) -> None:
    suite = Suite.from_toml(f"every-{scenario}-incremental")
    assert {row["scenario"] for row in suite.benchmarks} == {scenario}
    expected = [
        entry.name
        for entry in registry("strategies")
        if scenario in entry.scenarios and "target" not in entry.fixed  # none without labels here
    ]
    assert Counter(row["name"] for row in suite.strategies) == Counter(expected)
    check_configs(suite.configs())
