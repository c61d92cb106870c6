"""Effects of factors against what can be worked out by hand, and against a linear model."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from cl_strategies.reports.analysis.grouping import group_records
from cl_strategies.reports.comparison.effects import effect_tables, effects

LEVELS = [["x", "y"], ["p", "q"]]


def test_two_levels_are_contrasts_over_half_the_cells() -> None:
    cells = np.array([[0.5, 0.6], [0.7, 0.9]])
    found = {e.name: e for e in effects(np.stack([cells, cells], axis=-1), ["a", "b"], LEVELS)}
    assert found["a"].size == pytest.approx(((0.7 + 0.9) - (0.5 + 0.6)) / 2)
    assert found["b"].size == pytest.approx(((0.6 + 0.9) - (0.5 + 0.7)) / 2)
    simple = 0.9 - 0.7, 0.6 - 0.5
    assert found["a x b"].size == pytest.approx((simple[0] - simple[1]) / 2)
    assert sum(e.share for e in found.values()) == pytest.approx(1)
    assert found["a"].where == "y less x"


def test_shares_are_those_of_a_linear_model_with_the_pair_as_block() -> None:
    generator = np.random.default_rng(0)
    scores = generator.normal(size=(3, 2, 4))
    scores += np.arange(3)[:, None, None] + generator.normal(size=4)
    columns = np.indices(scores.shape).reshape(3, -1)

    def coded(i):
        levels = scores.shape[i]
        return np.stack(
            [
                (columns[i] == k).astype(float) - (columns[i] == levels - 1)
                for k in range(levels - 1)
            ]
        )

    a, b, block = (coded(i) for i in range(3))
    both = np.stack([x * y for x in a for y in b])

    def residual(*parts):
        design = np.concatenate([np.ones((1, scores.size)), *parts]).T
        return float(np.linalg.lstsq(design, scores.ravel(), rcond=None)[1][0])

    total = residual(block)
    expected = {
        "a": total - residual(block, a),
        "b": total - residual(block, b),
        "a x b": residual(block, a, b) - residual(block, a, b, both),
    }
    levels = [["1", "2", "3"], ["p", "q"]]
    found = {e.name: e for e in effects(scores, ["a", "b"], levels)}
    for name, squares in expected.items():
        assert found[name].share == pytest.approx(squares / total)


def test_intervals_are_of_the_contrasts_of_single_pairs() -> None:
    scores = np.random.default_rng(1).normal(size=(2, 2, 5))
    (first, *_) = effects(scores, ["a", "b"], LEVELS)
    contrast = scores[1].mean(axis=0) - scores[0].mean(axis=0)
    expected = stats.t.interval(0.95, 4, contrast.mean(), stats.sem(contrast))
    assert first.interval == pytest.approx(expected)


def records(make_record, skip=()):
    return [
        make_record(
            "a",
            seed=seed,
            options={"codec": codec, "mem_bytes": budget},
            metrics={"average_accuracy": 0.5 + 0.1 * (codec == "raw") + 0.01 * seed},
        )
        for codec in ("jpeg", "raw")
        for budget in (1024, 2048, 4096)
        for seed in range(2)
        if (codec, budget) not in skip
    ]


def test_the_factors_of_a_strategy_are_its_table(make_record) -> None:
    (table,) = effect_tables(group_records(records(make_record)))
    found = {effect.name: effect for effect in table.effects}
    assert set(found) == {"codec", "mem_bytes", "codec x mem_bytes"}
    assert found["codec"].size == pytest.approx(0.1)
    assert found["codec"].share == pytest.approx(1)
    assert found["codec"].cells[2] == "raw less jpeg: 10.0 points"


def test_a_missing_combination_is_said(make_record) -> None:
    (table,) = effect_tables(group_records(records(make_record, skip={("raw", 4096)})))
    assert table.effects == () and table.note == "not every combination was run"


def test_one_factor_has_no_table(make_record) -> None:
    groups = group_records(make_record("a", options={"strength": s}) for s in (1, 2, 3))
    assert effect_tables(groups) == []
