"""Per-task BatchNorm on a stream: what later tasks train, and networks without normalization."""

import pytest
import torch
from avalanche.training.plugins import EvaluationPlugin
from torch import nn

from cl_strategies.benchmarks.streams.split import split_digits
from cl_strategies.errors import UserError
from cl_strategies.models.backbones.lenet import wide_lenet
from cl_strategies.models.backbones.mlp import mlp
from cl_strategies.plugins.data.plugin import ResidentDataPlugin
from cl_strategies.strategies.batch_norm import PerTaskBatchNorm


@pytest.fixture(scope="module")
def split():
    return split_digits(n_experiences=2, scenario="task", fraction=0.2)


def learner(model, **options):
    return PerTaskBatchNorm(
        model=model,
        optimizer=torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.1),
        train_mb_size=32,
        train_epochs=1,
        plugins=[ResidentDataPlugin()],
        evaluator=EvaluationPlugin(loggers=[]),
        **options,
    )


def plain():
    return mlp(input_shape=(1, 8, 8), n_classes=10, scenario="task", hidden=(16, 8))


def normalized():
    return wide_lenet(
        input_shape=(1, 8, 8), n_classes=10, scenario="task", channels=(3, 4), hidden=(8, 6)
    )


@pytest.mark.parametrize("make", [plain, normalized])
def test_a_later_task_adds_normalizations_and_a_head_and_changes_nothing(split, make):
    strategy = learner(make())
    strategy.train(split.train_stream[0])
    first = {name: value.clone() for name, value in strategy.model.state_dict().items()}
    strategy.train(split.train_stream[1])
    last = strategy.model.state_dict()
    added = set(last) - set(first)
    assert added and all(".tasks.1." in name or ".heads.1." in name for name in added)
    del first["_extra_state"]
    assert all(torch.equal(last[name], value) for name, value in first.items())
    for norm in strategy.model.norms.values():
        for name, value in norm.tasks["1"].state_dict().items():
            assert name == "num_batches_tracked" or not torch.equal(
                value, norm.base.state_dict()[name]
            )


def test_a_model_with_normalization_keeps_its_layers_and_one_without_gets_some():
    given = normalized()
    kinds = [type(module) for module in given.modules() if not isinstance(module, nn.BatchNorm1d)]
    strategy = learner(given)
    assert len(strategy.model.norms) == 4
    assert kinds.count(nn.Linear) == 2
    assert len(learner(plain()).model.norms) == 2
    with pytest.raises(UserError, match="insert=True"):
        learner(plain(), insert=False)
