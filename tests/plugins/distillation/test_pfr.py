"""PFR: the term, the predictor that is trained with it, and what it keeps."""

from __future__ import annotations

import pytest
import torch
from avalanche.core import SupervisedPlugin
from avalanche.training.templates import SupervisedTemplate
from torch import nn

from cl_strategies.benchmarks import permuted_digits, split_digits
from cl_strategies.errors import UserError
from cl_strategies.models.backbones.mlp import mlp
from cl_strategies.plugins.distillation.pfr import PFRPlugin, predictor, projected_distance


def test_the_term_is_one_minus_the_cosine_and_spares_the_old_features():
    projected = torch.tensor([[1.0, 0.0], [3.0, 4.0]], requires_grad=True)
    old = torch.tensor([[0.0, 2.0], [6.0, 8.0]], requires_grad=True)
    value = projected_distance(projected, old)
    torch.testing.assert_close(value, torch.tensor(0.5))  # 1 - 0 and 1 - 1
    value.backward()
    assert projected.grad is not None and old.grad is None


def test_the_predictor_has_a_hidden_layer_of_half_the_features():
    sizes = [tuple(p.shape) for p in predictor(6).parameters()]
    assert sizes == [(3, 6), (3,), (3,), (3,), (6, 3), (6,)]
    assert predictor(1)(torch.ones(1, 1)).shape == (1, 1)


class Spy(SupervisedPlugin):
    """The terms of every mini-batch, by experience, without changing what the plugin does."""

    def __init__(self, plugin):
        super().__init__()
        self.values: list[list[float]] = []
        inner = plugin.penalty

        def penalty(strategy):
            value = inner(strategy)
            self.values[-1].append(float(value.detach()))
            return value

        plugin.penalty = penalty

    def before_training_exp(self, strategy, *args, **kwargs):
        self.values.append([])


def train(plugin, *, model=None, seed=0, scenario="domain", epochs=8):
    make = permuted_digits if scenario == "domain" else split_digits
    benchmark = make(n_experiences=3, fraction=0.5, scenario=scenario)
    torch.manual_seed(seed)
    info = benchmark.info
    if model is None:
        model = mlp(input_shape=(1, 8, 8), n_classes=10, scenario=info.scenario, hidden=[32])
    spy = Spy(plugin)
    strategy = SupervisedTemplate(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        train_mb_size=32,
        train_epochs=epochs,
        plugins=[plugin, spy],
        evaluator=None,
    )
    for experience in benchmark.train_stream:
        strategy.train(experience)
    return strategy, spy, benchmark


def test_the_term_is_there_from_the_second_experience_on_and_the_predictor_lowers_it():
    plugin = PFRPlugin(strength=1.0)
    _, spy, _ = train(plugin)
    assert spy.values[0] == []
    for values in spy.values[1:]:
        assert min(values) > 0
        assert sum(values[-10:]) < 0.5 * sum(values[:10])
    assert plugin._hook is None and plugin._predictor is None


def unpredictable(strength, seed):
    """Share of the old features, all of length 1, that least squares cannot compute from today's,
    on test images of the second task."""
    benchmark = permuted_digits(n_experiences=2, fraction=0.5)
    torch.manual_seed(seed)
    model = mlp(input_shape=(1, 8, 8), n_classes=10, scenario="domain", hidden=[32, 16])
    strategy = SupervisedTemplate(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        train_mb_size=32,
        train_epochs=6,
        plugins=[PFRPlugin(strength=strength, predictor_lr=1e-2)],
        evaluator=None,
    )
    x = torch.stack([item[0] for item in benchmark.test_stream[1].dataset])
    features = []
    for experience in benchmark.train_stream:
        strategy.train(experience)
        with torch.no_grad():
            found = nn.functional.normalize(model.backbone(x).double())
        features.append(torch.cat([found, torch.ones(len(x), 1)], 1))
    old, today = features
    left = today @ torch.linalg.lstsq(today, old, driver="gelsd").solution - old
    return float(left.square().sum() / (old - old.mean(0)).square().sum())


@pytest.mark.slow
def test_old_features_can_be_computed_from_todays_over_several_seeds():
    pairs = [(unpredictable(30.0, seed), unpredictable(0.0, seed)) for seed in range(4)]
    assert sum(kept for kept, _ in pairs) < 0.8 * sum(lost for _, lost in pairs)


def test_a_head_that_the_old_network_lacks_is_not_needed():
    strategy, spy, _ = train(PFRPlugin(strength=1.0), scenario="task", epochs=1)
    assert len(strategy.model.head.heads) == 3
    assert all(min(values) > 0 for values in spy.values[1:])


def test_features_may_come_from_any_named_module():
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
    with pytest.raises(UserError, match="no 'backbone' or 'features'.*there are: 0, 1"):
        train(PFRPlugin(strength=1.0), model=model)
    with pytest.raises(UserError, match="no module 'head'"):
        train(PFRPlugin(strength=1.0, layer="head"), model=model)
    _, spy, _ = train(PFRPlugin(strength=1.0, layer="2"), model=model, epochs=1)
    assert min(spy.values[1]) > 0


@pytest.mark.parametrize(
    "options",
    [
        {"strength": -1.0},
        {"predictor_lr": 0.0},
        {"predictor_lr": float("inf")},
        {"strength": "a"},
        {"predictor_lr": None},
        {"layer": ["backbone"]},
    ],
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(UserError):
        PFRPlugin(**options)
