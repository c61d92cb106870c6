"""The networks of ALASSO's paper have the parameters of its supplement's tables."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from avalanche.models.utils import avalanche_model_adaptation
from torch import nn

from cl_strategies.errors import UserError
from cl_strategies.models import dropout_cnn, mlp

TABLE_D = {"channels": (32, 32, 64, 64, 64), "convolutions": 1, "hidden": 2048}


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_table_b_is_an_mlp():
    assert (
        count(mlp(input_shape=(1, 28, 28), n_classes=10, scenario="domain", hidden=(2000, 2000)))
        == 5_592_010
    )


@pytest.mark.parametrize(
    ("shape", "options", "n_classes", "tasks", "expected"),
    [((3, 32, 32), {}, 90, 30, 39_822), ((3, 224, 224), TABLE_D, 180, 30, 6_895_892)],
)
def test_tables_c_and_d_with_one_head_and_with_one_per_task(
    shape, options, n_classes, tasks, expected
):
    assert (
        count(dropout_cnn(input_shape=shape, n_classes=n_classes, scenario="class", **options))
        == expected
    )
    each = n_classes // tasks
    model = dropout_cnn(input_shape=shape, n_classes=each, scenario="task", **options)
    for task in range(tasks):
        seen = SimpleNamespace(classes_in_this_experience=list(range(each)), task_labels=[task])
        avalanche_model_adaptation(model, seen)
    assert count(model) == expected


def test_dropout_acts_in_training_only():
    model = dropout_cnn(input_shape=(1, 8, 8), n_classes=4, scenario="class")
    x = torch.rand(16, 1, 8, 8)
    assert not torch.equal(model.train()(x), model(x))
    assert torch.equal(model.eval()(x), model(x))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"channels": ()}, "channels is empty"),
        ({"channels": (4,) * 4}, "need images of at least 16x16 pixels"),
        ({"dropout": 1.0}, "dropout is 1.0"),
    ],
)
def test_what_cannot_be_built_is_refused(options, words):
    with pytest.raises(UserError, match=words):
        dropout_cnn(input_shape=(1, 8, 8), n_classes=4, scenario="class", **options)
