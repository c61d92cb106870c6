"""Training with a trace ends as training without one, bit for bit."""

from __future__ import annotations

import pytest
import torch

from cl_strategies.plugins.continual_evaluation.undisturbed import undisturbed
from cl_strategies.registry import registry

FEW = [
    ("naive", "task"),  # several heads
    ("replay", "class"),
    ("agem", "class"),  # gradients of its own beside those of the step
    ("halrp", "task"),
    ("icarl", "class"),  # a network that grows
    ("imm-mean", "class"),  # evaluates other weights than it trains
    ("single-task", "task"),
    ("vcl", "task"),
]
REST = [
    (entry.name, entry.scenarios[0])
    for entry in registry("strategies")
    if entry.name not in {*dict(FEW), "joint"} and not {"target"} & entry.fixed
]
BYTES = {"cim", "compressed-replay", "lucir", "wa", "bic", "podnet", "der-expandable"}


def compare(trained, name, scenario):
    plain = trained(name, scenario, traced=False).train().state()
    traced = trained(name, scenario).train()
    found = traced.state()
    assert plain.keys() == found.keys()
    assert [key for key, value in plain.items() if not torch.equal(value, found[key])] == []
    return traced


@pytest.mark.parametrize(("name", "scenario"), FEW)
def test_weights_moments_and_generators_are_those_without_it(trained, name, scenario):
    traced = compare(trained, name, scenario)
    trace = traced.plugin.trace
    assert trace.order == [0, 1, 2]
    assert (trace.table()[-1] >= 0).all()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "scenario"), [pair for pair in REST if pair[0] not in BYTES])
def test_of_every_strategy(trained, name, scenario):
    compare(trained, name, scenario)


def test_the_last_point_is_what_an_evaluation_finds(trained):
    for name in ("icarl", "imm-mean", "replay"):
        traced = trained(name, samples=10**6).train()
        plugin, found = traced.plugin, []
        traced.strategy.eval(traced.stream.test_stream[:3])
        for test in traced.stream.test_stream[:3]:
            plugin._counts = found_of = []
            traced.strategy.eval([test])
            found += torch.stack(found_of).tolist()
        plugin._counts = None
        assert plugin.trace.correct[-1] == found, name


def test_joint_training_is_not_followed(trained):
    traced = trained("joint")
    traced.strategy.train(list(traced.stream.train_stream))
    assert traced.plugin.trace.where == []


class Scarred:
    """A strategy in the midst of a step, which an evaluation would change."""

    def __init__(self):
        self.model = torch.nn.Sequential(torch.nn.BatchNorm1d(2), torch.nn.Dropout())
        self.model[1].eval()
        self.plugins, self.experience, self.mbatch, self.is_training = [], "one", [1, 2], True
        self.model(torch.randn(4, 2)).sum().backward()


def test_everything_is_given_back_also_after_an_error():
    strategy = Scarred()
    gradients = [p.grad for p in strategy.model.parameters()]
    statistics = [buffer.clone() for buffer in strategy.model.buffers()]
    drawn = torch.get_rng_state()
    with pytest.raises(RuntimeError), undisturbed(strategy):
        strategy.experience, strategy.mbatch, strategy.is_training = "other", None, False
        strategy.model.train()
        strategy.model(torch.randn(4, 2))
        strategy.model.zero_grad(set_to_none=True)
        raise RuntimeError
    assert (strategy.experience, strategy.mbatch, strategy.is_training) == ("one", [1, 2], True)
    assert [module.training for module in strategy.model] == [True, False]
    assert all(p.grad is g for p, g in zip(strategy.model.parameters(), gradients, strict=True))
    for now, before in zip(strategy.model.buffers(), statistics, strict=True):
        assert torch.equal(now, before)
    assert torch.equal(torch.get_rng_state(), drawn)
