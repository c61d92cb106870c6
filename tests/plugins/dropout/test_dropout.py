"""Dropout beside a network: in the forward passes of training, and nowhere else."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from avalanche.core import SupervisedPlugin
from avalanche.training.templates import SupervisedTemplate
from torch import nn

from cl_strategies.benchmarks import build_benchmark
from cl_strategies.errors import UserError
from cl_strategies.plugins import CompilePlugin, DropoutPlugin, DropTransferPlugin
from cl_strategies.plugins.dropout.layers import weight_layers
from cl_strategies.strategies import SGDDropout


def stream() -> Any:
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(32) % 2
    parts = [(torch.rand(32, 1, 4, 4, generator=generator) + 1, y) for _ in range(2)]
    return build_benchmark(parts, parts, name="small", scenario="domain")


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2))


class Inputs(SupervisedPlugin):
    """The share of zeros in what each layer takes in, in training and in evaluation."""

    def __init__(self) -> None:
        super().__init__()
        self.zeros: dict[str, list[float]] = {}
        self.scale = 0.0

    def before_training(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        for name, layer in weight_layers(strategy.model).items():
            layer.register_forward_hook(self._note(name, strategy))

    def _note(self, name: str, strategy: Any) -> Any:
        def note(layer: nn.Module, inputs: Any, output: Any) -> None:
            key = f"{name} {'training' if strategy.is_training else 'evaluation'}"
            self.zeros.setdefault(key, []).append((inputs[0] == 0).float().mean().item())
            if strategy.is_training and name == "0":
                self.scale = max(self.scale, inputs[0].max().item())

        return note


def learner(plugins: Any, model: nn.Module, kind: Any = SupervisedTemplate, **options: Any) -> Any:
    return kind(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.01),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=8,
        train_epochs=4,
        plugins=plugins,
        evaluator=None,
        **options,
    )


def test_inputs_and_hidden_layers_are_dropped_at_their_rates_in_training_only() -> None:
    watch, model, benchmark = Inputs(), network(), stream()
    # An input of ones plus noise has no zeros; a bias of 10 keeps the hidden layer from any.
    model[0].bias.data.fill_(10.0)
    strategy = learner([DropoutPlugin(input_dropout=0.2, hidden_dropout=0.5), watch], model)
    strategy.train(benchmark.train_stream)
    strategy.eval(benchmark.test_stream)
    share = {key: sum(values) / len(values) for key, values in watch.zeros.items()}
    assert share["0 training"] == pytest.approx(0.2, abs=0.03)
    assert share["3 training"] == pytest.approx(0.5, abs=0.03)
    assert share["0 evaluation"] == share["3 evaluation"] == 0.0
    assert 2 < watch.scale <= 2 / 0.8


@pytest.mark.parametrize("plugin", [DropoutPlugin, DropTransferPlugin])
def test_the_network_keeps_no_trace_and_other_passes_have_no_dropout(plugin: Any) -> None:
    class Elsewhere(SupervisedPlugin):
        def after_backward(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
            x = strategy.mb_x
            assert torch.equal(strategy.model(x), copy.deepcopy(strategy.model)(x))
            assert all(not m._forward_pre_hooks for m in strategy.model.modules())
            assert all(not m._forward_hooks for m in strategy.model.modules())

    model = network()
    learner([plugin(), Elsewhere()], model).train(stream().train_stream)
    assert model.state_dict().keys() == network().state_dict().keys()


@pytest.mark.parametrize("plugin", [DropoutPlugin, DropTransferPlugin])
@pytest.mark.parametrize("then", ["evaluation", "training"])
def test_a_forward_pass_that_failed_leaves_no_dropout_behind(plugin: Any, then: str) -> None:
    class FailOnce(SupervisedPlugin):
        failed = False

        def before_forward(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
            if not self.failed:
                self.failed = True
                raise KeyboardInterrupt

    model, benchmark = network(), stream()
    strategy = learner([plugin(), FailOnce()], model)
    with pytest.raises(KeyboardInterrupt):
        strategy.train(benchmark.train_stream)
    if then == "evaluation":
        strategy.eval(benchmark.test_stream)
    else:
        strategy.train(benchmark.train_stream)
    assert all(not m._forward_pre_hooks and not m._forward_hooks for m in model.modules())


def test_rates_of_zero_are_fine_tuning() -> None:
    weights = []
    for plugins in (
        [],
        [DropoutPlugin(input_dropout=0.0, hidden_dropout=0.0)],
        [DropTransferPlugin(drop_transfer=0.0)],
    ):
        model = network()
        torch.manual_seed(1)
        learner(plugins, model).train(stream().train_stream)
        weights.append(nn.utils.parameters_to_vector(model.parameters()))
    assert torch.equal(weights[0], weights[1]) and torch.equal(weights[0], weights[2])


def test_integers_are_not_dropped() -> None:
    plugin = DropoutPlugin()
    model = nn.Sequential(nn.Embedding(5, 3), nn.Flatten(), nn.Linear(6, 2))
    tokens = torch.randint(5, (4, 2))
    assert plugin._drop_input(model, (tokens,)) == (tokens,)


@pytest.mark.parametrize("plugin", [DropoutPlugin, DropTransferPlugin])
def test_a_compiled_network_is_refused_before_its_first_step(plugin: Any) -> None:
    model = network()
    before = nn.utils.parameters_to_vector(model.parameters()).detach().clone()
    compiled = CompilePlugin(part="", backend="eager")
    with pytest.raises(UserError, match="compiled"):
        learner([plugin(), compiled], model).train(stream().train_stream)
    assert torch.equal(before, nn.utils.parameters_to_vector(model.parameters()))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input_dropout": 1.0}, "input_dropout is 1.0"),
        ({"hidden_dropout": -0.1}, "hidden_dropout is -0.1"),
        ({"hidden_dropout": float("nan")}, "hidden_dropout is nan"),
    ],
)
def test_bad_rates_are_refused_when_the_strategy_is_made(options: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        learner([], network(), SGDDropout, **options)
