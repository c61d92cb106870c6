"""WSN on a stream: scores, capacity, optimizers that move everything."""

import pytest
import torch
from avalanche.training.plugins import EvaluationPlugin

from cl_strategies.benchmarks.streams.split import split_digits
from cl_strategies.errors import UserError
from cl_strategies.experiment.setup.seeding import seed_everything
from cl_strategies.models.backbones.mlp import mlp
from cl_strategies.plugins.data.plugin import ResidentDataPlugin
from cl_strategies.plugins.subnetworks.model import SubnetworkModel
from cl_strategies.strategies.wsn import WSN


@pytest.fixture(scope="module")
def split():
    return split_digits(n_experiences=3, scenario="task", order=[2, 0, 1], fraction=0.3)


def learner(optimizer=None, **options):
    model = mlp(input_shape=(1, 8, 8), n_classes=10, scenario="task", hidden=(24, 16))
    make = optimizer or (lambda p: torch.optim.Adam(p, lr=0.01))
    return WSN(
        model=model,
        optimizer=make(model.parameters()),
        train_mb_size=32,
        train_epochs=2,
        plugins=[ResidentDataPlugin()],
        evaluator=EvaluationPlugin(loggers=[]),
        **options,
    )


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01),
        lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.5),
    ],
)
def test_weight_decay_and_momentum_do_not_reach_weights_of_earlier_tasks(split, optimizer):
    strategy = learner(optimizer, capacity=0.4)
    strategy.train(split.train_stream[0])
    layers = strategy.model.layers.values()
    used = [layer.used() for layer in layers]
    before = [layer.weight.detach().clone() for layer in layers]
    strategy.train(split.train_stream[1:])
    for layer, mask, old in zip(strategy.model.layers.values(), used, before, strict=True):
        assert torch.equal(layer.weight[mask], old[mask])
        assert not torch.equal(layer.weight[~mask], old[~mask])


def test_use_of_the_network_grows_with_the_tasks_and_with_the_capacity(split):
    used = {}
    for capacity in (0.1, 0.5):
        seed_everything(0)
        strategy = learner(capacity=capacity)
        used[capacity] = []
        for experience in split.train_stream:
            strategy.train(experience)
            used[capacity].append(strategy.model.used())
    for capacity, (first, second, third) in used.items():
        assert first == pytest.approx(capacity, abs=1e-3)
        assert first < second < third <= 3 * capacity
    assert used[0.5][2] > used[0.1][2]


def test_a_full_network_still_learns_masks_biases_and_heads(split):
    strategy = learner(capacity=1.0)
    strategy.train(split.train_stream)
    assert strategy.model.used() == 1.0
    strategy.eval(split.test_stream)
    assert len(strategy.model.tasks) == 3


def test_scores_belong_to_the_method_and_masks_to_the_model(split):
    strategy = learner()
    strategy.train(split.train_stream[:2])
    state = strategy.method_state_dict()
    assert {name: tuple(value.shape) for name, value in state["scores"].items()} == {
        "backbone.1": (24, 64),
        "backbone.3": (16, 24),
    }
    names = set(strategy.model.state_dict())
    assert "network.backbone.1.tasks.0.packed" in names
    assert not any("scores" in name for name in names)
    assert learner(fresh_scores=True).method_state_dict()["scores"] == {}


@pytest.mark.parametrize(
    ("options", "message"),
    [({"capacity": 0.0}, "capacity is 0.0"), ({"ranking": "top"}, "unknown ranking 'top'")],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        learner(**options)


def test_a_network_that_was_divided_before_brings_its_own_options():
    def build(**options):
        model = SubnetworkModel(
            mlp(input_shape=(1, 8, 8), n_classes=10, scenario="task", hidden=(24,)), capacity=0.2
        )
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        return model, WSN(model=model, optimizer=optimizer, train_mb_size=32, **options)

    model, strategy = build()
    assert strategy.model is model and strategy.model.selection.capacity == 0.2
    with pytest.raises(UserError, match="its own capacity: leave these options out"):
        build(capacity=0.5)
