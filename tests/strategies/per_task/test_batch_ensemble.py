"""BatchEnsemble on a stream: slow weights of the first task, fast weights of every task."""

import pytest
import torch
from avalanche.training.plugins import EvaluationPlugin

from cl_strategies.benchmarks.streams.split import split_digits
from cl_strategies.errors import UserError
from cl_strategies.experiment.setup.seeding import seed_everything
from cl_strategies.models.backbones.lenet import wide_lenet
from cl_strategies.plugins.data.plugin import ResidentDataPlugin
from cl_strategies.strategies.batch_ensemble import BatchEnsemble


@pytest.fixture(scope="module")
def split():
    return split_digits(n_experiences=2, scenario="task", fraction=0.2)


def learner(**options):
    model = wide_lenet(
        input_shape=(1, 8, 8), n_classes=10, scenario="task", channels=(3, 4), hidden=(8, 6)
    )
    return BatchEnsemble(
        model=model,
        optimizer=torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.1),
        train_mb_size=32,
        train_epochs=1,
        plugins=[ResidentDataPlugin()],
        evaluator=EvaluationPlugin(loggers=[]),
        **options,
    )


def test_first_task_trains_slow_and_fast_weights_and_a_later_one_its_own_alone(split):
    seed_everything(0)
    strategy = learner(start="ones")
    slow = [layer.weight.detach().clone() for layer in strategy.model.layers.values()]
    strategy.train(split.train_stream[0])
    for layer, old in zip(strategy.model.layers.values(), slow, strict=True):
        assert not torch.equal(layer.weight, old)
        assert all(not torch.equal(p, torch.ones_like(p)) for p in layer.tasks["0"].sources())
    first = {name: value.clone() for name, value in strategy.model.state_dict().items()}
    strategy.train(split.train_stream[1])
    last = strategy.model.state_dict()
    added = set(last) - set(first)
    assert added and all(".tasks.1." in name or ".heads.1." in name for name in added)
    del first["_extra_state"]
    assert all(torch.equal(last[name], value) for name, value in first.items())
    for layer in strategy.model.layers.values():
        for mine, other in zip(
            layer.tasks["1"].parameters(), layer.tasks["0"].parameters(), strict=True
        ):
            assert not torch.equal(mine, other)


def test_the_same_seed_draws_the_same_signs(split):
    models = []
    for _ in range(2):
        seed_everything(3)
        strategy = learner()
        strategy.train(split.train_stream)
        models.append(strategy.model.state_dict())
    assert all(torch.equal(models[0][name], models[1][name]) for name in models[0])
    signs = torch.cat([v.sign() for n, v in models[0].items() if n.endswith(".inputs")])
    assert {-1.0, 1.0} <= set(signs.tolist())


def test_another_start_is_refused():
    with pytest.raises(UserError, match="unknown start 'random'"):
        learner(start="random")
