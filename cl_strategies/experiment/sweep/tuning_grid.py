"""The ``[tuning]`` table of a suite: which settings are tried for which strategy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cl_strategies.errors import UserError, unknown_name
from cl_strategies.experiment.config.suite import Suite, label_of, tuned_option
from cl_strategies.experiment.config.suite_checks import check_seeds
from cl_strategies.validation.plain_data import check_plain, shown

Grid = dict[str, list[Any]]
_KEYS = ("seeds", "validation", "grid", "strategies")


def tuned_keys(suite: Suite, strategy: Mapping[str, Any], overrides: Mapping[str, Any]) -> Grid:
    """Return the dotted keys that are varied for ``strategy``, with their values.

    :param strategy: one of the suite's tables of strategies.
    :param overrides: dotted keys that are set for all runs, and hence not varied.
    :raises UserError: if the strategy has no option of a name in its own grid.
    """
    own = suite.tuning.get("strategies", {}).get(label_of(strategy), {})
    keys: Grid = {}
    for key, values in {**suite.tuning.get("grid", {}), **own}.items():
        if key == "strength":
            option = tuned_option(strategy)
            if option is not None:
                keys[f"strategy.{option}"] = values
            elif key in own:
                raise UserError(
                    f"[tuning.strategies] varies the strength of {label_of(strategy)}, which has "
                    "no such option or a value for it: leave one of them out"
                )
        elif key in own and "." not in key:
            keys[f"strategy.{key}"] = values
        else:
            keys[key] = values
    return {key: values for key, values in keys.items() if key not in overrides}


def check_overrides(suite: Suite, overrides: Mapping[str, Any]) -> None:
    """:raises UserError: if what is held out is set, or all that the grid varies."""
    if "benchmark.validation" in overrides:
        raise UserError("benchmark.validation is set: give tuning.validation in the suite")
    grid, own = suite.tuning.get("grid", {}), suite.tuning.get("strategies", {})
    set_ = {*overrides, *(["strength"] if "strategy.strength" in overrides else [])}
    if grid and overrides and not own and set_.issuperset(grid):
        raise UserError(
            f"all that [tuning.grid] varies is set ({', '.join(grid)}): leave one out to tune it"
        )


def at_border(grid: Mapping[str, Sequence[Any]], chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings in ``chosen`` that are the least or the largest of three or more.

    Something better may lie beyond. Only numbers have an order, and so a border.

    :param grid: dotted key -> values that were tried.
    :param chosen: dotted key -> the best value.
    """
    result = {}
    for key, value in chosen.items():
        numbers = [v for v in grid[key] if isinstance(v, int | float) and not isinstance(v, bool)]
        if len(numbers) == len(grid[key]) >= 3 and value in (min(numbers), max(numbers)):
            result[key] = value
    return result


def check_tuning(suite: Suite) -> tuple[list[int], float]:
    """Return the seeds, and the share of the training data that is held out.

    :raises UserError: if ``[tuning]`` is missing, incomplete or shares seeds with the suite.
    """
    tuning = suite.tuning
    if not tuning:
        raise UserError(f"the suite {suite.name} has no [tuning] table: give seeds and a grid")
    for key in tuning:
        if key not in _KEYS:
            raise unknown_name("key of [tuning]", key, _KEYS)
    check_plain("tuning", tuning)
    seeds = tuning.get("seeds", [])
    check_seeds("tuning.seeds", seeds)
    if not seeds or set(seeds) & set(suite.seeds):
        raise UserError(
            f"tuning.seeds is {shown(seeds)}, suite.seeds is {shown(list(suite.seeds))}: "
            "tune on at least one seed, and on none that the comparison uses"
        )
    own = tuning.get("strategies", {})
    if not isinstance(own, Mapping):
        raise UserError(f"tuning.strategies is {shown(own)}: give a table for each strategy")
    labels = [label_of(strategy) for strategy in suite.strategies]
    for label in own:
        if label not in labels:
            raise unknown_name("strategy of [tuning.strategies]", label, labels)
    if "grid" in tuning or "strategies" not in tuning:
        _check_grid("tuning.grid", tuning.get("grid"))
    for label, grid in own.items():
        _check_grid(f"tuning.strategies.{label}", grid)
    return list(seeds), _checked_share(tuning.get("validation", 0.2))


def _check_grid(name: str, grid: Any) -> None:
    if not (isinstance(grid, Mapping) and grid and all(map(_is_choice, grid.values()))):
        raise UserError(
            f"{name} is {shown(grid)}: give a table [{name}] of lists of values, such as "
            '"train.lr" = [0.001, 0.01]'
        )
    if "benchmark.validation" in grid:
        raise UserError(f"benchmark.validation is in [{name}]: give one tuning.validation")


def _is_choice(values: Any) -> bool:
    return isinstance(values, list) and bool(values)


def _checked_share(validation: Any) -> float:
    """:raises UserError: unless something is held out: with nothing, the test data would choose."""
    if type(validation) not in (int, float) or not 0 < validation < 1:
        raise UserError(
            f"tuning.validation is {shown(validation)}: give the part of the training data to hold "
            "out, a number above 0 and below 1"
        )
    return float(validation)
