"""The table of definitions and the functions agree."""

from __future__ import annotations

import pytest

from cl_strategies.plugins.metrics import functional as f
from cl_strategies.results.during_training import training_metrics

VIOLATIONS = "final_task_aware_violations"


@pytest.mark.parametrize("definition", f.DEFINITIONS.values(), ids=lambda d: d.key)
def test_every_definition_is_complete_and_has_its_function(definition):
    assert callable(getattr(f, definition.function))
    assert definition.direction in ("higher", "lower", "zero", "none")
    assert definition.group in ("matrix", "training", "predictions", "costs")
    assert definition.meaning and definition.undefined and definition.source
    assert definition.version >= 1


def test_every_metric_of_a_matrix_is_defined_under_its_key():
    of_matrix = {key for key, d in f.DEFINITIONS.items() if d.group == "matrix"}
    assert of_matrix - {"fwt_learning_curve", "opd"} == set(f.matrix_metrics([[0.5]]))


def test_every_metric_of_predictions_is_defined():
    found = f.records_to_metrics([0], [0], [[0]])
    for key in set(found) - {"correct_counts", "totals", "A", "recency_bias_after_row", VIOLATIONS}:
        names = {
            key,
            key.removeprefix("final_"),
            key.removesuffix("_old"),
            key.removesuffix("_new"),
        }
        assert names & set(f.DEFINITIONS), key


def test_every_number_of_a_run_that_is_taken_during_training_is_defined():
    """But for what the evaluations themselves cost."""
    cost = {"trace_cost", "trace_seconds", "online_seconds"}
    for key in set(training_metrics()) - cost:
        names = {key, key.replace("_N_", "_w_"), key.replace("_N", "")}
        assert names & set(f.DEFINITIONS), key
