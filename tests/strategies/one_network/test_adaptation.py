"""DANN and DSAN: the training of a loop by hand, what they see of a target, what they gain."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from avalanche.core import SupervisedPlugin
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, softplus
from torch.utils.data import TensorDataset

from cl_strategies.benchmarks import build_benchmark, load
from cl_strategies.errors import UserError
from cl_strategies.experiment.config.run_config import ExperimentConfig
from cl_strategies.experiment.sweep.preflight import check_configs
from cl_strategies.models.backbones.mlp import mlp
from cl_strategies.plugins import CorrelationPlugin, DANNPlugin, DSANPlugin
from cl_strategies.plugins.quantization.conversion.layers import quantized_layers
from cl_strategies.strategies import DANN, DSAN, AlignQ, Naive

KINDS = [DANN, DSAN]
EPOCHS, BATCH, RATE, MOMENTUM = 3, 16, 0.1, 0.5


def source(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(48) % 3
    x = torch.rand(48, 1, 4, 4, generator=generator, dtype=dtype) + 0.3 * y.view(-1, 1, 1, 1)
    return x, y


def images(count: int = BATCH) -> Tensor:
    return source()[0][:count].flip(2) * 0.5


def experience(dtype: torch.dtype = torch.float64) -> Any:
    x, y = source(dtype)
    return build_benchmark([(x, y)], [(x, y)], name="small", scenario="domain").train_stream[0]


def network() -> nn.Module:
    torch.manual_seed(0)
    return mlp(input_shape=(1, 4, 4), n_classes=3, scenario="domain", hidden=[8]).double()


def build(kind: Any, model: nn.Module, plugins: Any = (), **options: Any) -> Any:
    return kind(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=RATE, momentum=MOMENTUM),
        train_mb_size=BATCH,
        train_epochs=EPOCHS,
        plugins=list(plugins),
        evaluator=None,
        **options,
    )


class Begin(SupervisedPlugin):
    """Keeps the domain classifier as it was before its first step, and learning rates."""

    def __init__(self) -> None:
        super().__init__()
        self.network: dict[str, Tensor] = {}
        self.rates: list[tuple[float, float]] = []

    def before_backward(self, strategy: Any, **kwargs: Any) -> None:
        if not self.network and isinstance(strategy, DANN):
            state = strategy.plugin.network.state_dict()
            self.network = {name: value.clone() for name, value in state.items()}

    def before_update(self, strategy: Any, **kwargs: Any) -> None:
        self.stepping = strategy.optimizer.param_groups[0]["lr"]

    def after_training_iteration(self, strategy: Any, **kwargs: Any) -> None:
        self.rates.append((self.stepping, strategy.optimizer.param_groups[0]["lr"]))


def local_discrepancy(s: Tensor, t: Tensor, y: Tensor, probabilities: Tensor) -> Tensor:
    """LMMD class by class."""
    both = torch.cat([s, t])
    squared = (both[:, None] - both).square().sum(2)
    h = squared.detach().sum() / (len(both) * (len(both) - 1)) / 4
    kernel = sum((-squared / (h * 2**u)).exp() for u in range(5))
    values = []
    for c in sorted(set(y.tolist()) & set(probabilities.argmax(1).tolist())):
        ws = (y == c).double() / (y == c).sum()
        wt = probabilities[:, c] / probabilities[:, c].sum()
        k, n = kernel, len(s)
        values.append(ws @ k[:n, :n] @ ws + wt @ k[n:, n:] @ wt - 2 * ws @ k[:n, n:] @ wt)
    return torch.stack(values).mean() if values else both.sum() * 0


def by_hand(kind: Any, model: nn.Module, domain: dict[str, Tensor]) -> Tensor:
    """Weights after the training of a loop that knows nothing of the package's functions."""
    x, y = source()
    target = images()
    body, head = list(model.backbone.parameters()), list(model.head.parameters())
    judge = [domain[name].clone().requires_grad_() for name in domain]
    velocity = [torch.zeros_like(p) for p in (*body, *head, *judge)]
    steps = EPOCHS * len(x) // BATCH
    for step in range(steps):
        rows = torch.arange(BATCH) + BATCH * step % len(x)
        p = step / steps
        weight, rate = 2 / (1 + math.exp(-10 * p)) - 1, RATE / (1 + 10 * p) ** 0.75
        s, t = model.backbone(x[rows]), model.backbone(target)
        label = cross_entropy(model.head(s), y[rows])
        if kind is DANN:
            first, bias, second, last = judge
            told = [((f @ first.T + bias).relu() @ second.T + last)[:, 0] for f in (s, t)]
            fooled = softplus(told[0]).mean() + softplus(-told[1]).mean()
            gradients = torch.autograd.grad(label, [*body, *head], retain_graph=True)
            opposed = torch.autograd.grad(fooled, [*body, *judge])
            against = [-weight * g for g in opposed[: len(body)]]
            of_body = [a + b for a, b in zip(gradients, against, strict=False)]
            found = [*of_body, *gradients[len(body) :], *opposed[len(body) :]]
        else:
            guess = model.head(t).softmax(1).detach()
            loss = label + 0.5 * weight * local_discrepancy(s, t, y[rows], guess)
            found = list(torch.autograd.grad(loss, [*body, *head]))
        with torch.no_grad():
            for parameter, v, g in zip((*body, *head, *judge), velocity, found, strict=True):
                v.mul_(MOMENTUM).add_(g)
                parameter -= rate * v
    return torch.cat([p.detach().flatten() for p in (*body, *head)])


@pytest.mark.parametrize("kind", KINDS)
def test_the_weights_are_those_of_a_loop_by_hand(kind: Any) -> None:
    torch.set_default_dtype(torch.float64)
    try:
        begin = Begin()
        strategy = build(kind, network(), [begin], target=images())
        strategy.train(experience(), shuffle=False)
        found = torch.cat([p.detach().flatten() for p in strategy.model.parameters()])
        expected = by_hand(kind, network(), begin.network)
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
        plain = build(Naive, network())
        plain.train(experience(), shuffle=False)
        others = torch.cat([p.detach().flatten() for p in plain.model.parameters()])
        assert (others - found).abs().max() > 1e-2
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("kind", KINDS)
def test_rates_fall_within_steps_only_whatever_else_sets_them(kind: Any) -> None:
    begin = Begin()
    build(kind, network(), [begin], target=images(), lr_beta=1.0).train(experience())
    assert [rate for _, rate in begin.rates] == [RATE] * 9
    expected = [RATE / (1 + 10 * step / 9) for step in range(9)]
    assert [rate for rate, _ in begin.rates] == pytest.approx(expected)


@pytest.mark.parametrize("kind", KINDS)
def test_labels_of_the_target_do_not_matter(kind: Any) -> None:
    weights = []
    for labels in (torch.zeros(20), torch.arange(20), torch.full((20,), -1)):
        torch.manual_seed(1)
        strategy = build(kind, network(), target=TensorDataset(images(20), labels))
        torch.manual_seed(1)
        strategy.train(experience())
        weights.append(torch.cat([p.detach().flatten() for p in strategy.model.parameters()]))
    assert all(torch.equal(weights[0], other) for other in weights[1:])


@pytest.mark.parametrize("kind", KINDS)
def test_strength_zero_is_training_on_the_source(kind: Any) -> None:
    found = []
    for strategy in (
        build(kind, network(), target=images(), strength=0.0, lr_alpha=0.0),
        build(Naive, network()),
    ):
        strategy.train(experience(), shuffle=False)
        found.append(torch.cat([p.detach().flatten() for p in strategy.model.parameters()]))
    assert torch.equal(*found)


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_target_nothing_is_trained(kind: Any) -> None:
    strategy = build(kind, network())
    before = [p.clone() for p in strategy.model.parameters()]
    with pytest.raises(UserError, match="brings none as `unlabeled`.*adaptation-digits"):
        strategy.train(experience())
    assert all(torch.equal(*pair) for pair in zip(before, strategy.model.parameters(), strict=True))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": 3}, "target is a int: give a tensor of images"),
        ({"target": images(0)}, "target has no image"),
        ({"strength": -1.0}, "strength is -1.0"),
        ({"gamma": float("nan")}, "gamma is nan"),
        ({"lr_beta": -0.1}, "lr_beta is -0.1"),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_what_cannot_be_is_refused_when_the_strategy_is_made(kind, options, message):
    with pytest.raises(UserError, match=message):
        build(kind, network(), **options)


def test_options_of_one_method_are_refused():
    for kind, option in ((DANN, {"hidden": 0}), (DSAN, {"kernels": 0}), (DSAN, {"factor": 0.0})):
        with pytest.raises(UserError, match="is 0"):
            build(kind, network(), **option)


@pytest.mark.parametrize("kind", KINDS)
def test_images_of_another_shape_are_refused_before_training(kind: Any) -> None:
    strategy = build(kind, network(), target=torch.rand(4, 1, 5, 5))
    with pytest.raises(UserError, match=r"\(1, 5, 5\), and those of the source \(1, 4, 4\)"):
        strategy.train(experience())


def test_a_model_of_which_no_module_is_known_gives_what_its_last_layer_is_given():
    torch.manual_seed(0)
    named = network()
    plain = nn.Sequential(*named.backbone, named.head)
    weights = []
    for model in (named, plain):
        torch.manual_seed(1)
        strategy = build(DSAN, model, target=images())
        strategy.train(experience(), shuffle=False)
        weights.append([p.detach() for p in strategy.model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*weights, strict=True))
    with pytest.raises(UserError, match="no module 'nowhere'"):
        build(DANN, network(), target=images(), layer="nowhere").train(experience())


@pytest.mark.parametrize("host", ["dann:hidden=4", "dsan:strength=0.3"])
@pytest.mark.parametrize("bits", [4, 5, 8])
def test_alignq_quantizes_them_and_keeps_the_correlations_of_both_domains(host, bits):
    benchmark = load("adaptation-digits", image_size=8, fraction=0.1)
    info = benchmark.info
    model = mlp(input_shape=info.input_shape, n_classes=10, scenario="domain", hidden=[16, 16])
    strategy = AlignQ(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9),
        train_mb_size=16,
        train_epochs=2,
        evaluator=None,
        host=host,
        weight_bits=bits,
        activation_bits=bits,
    )
    seen: list[int] = []

    class Count(SupervisedPlugin):
        def before_backward(self, strategy: Any, **kwargs: Any) -> None:
            (kept,) = (p for p in strategy.plugins if isinstance(p, CorrelationPlugin))
            seen.append(len(kept._differences))

    strategy.plugins.append(Count())
    strategy.train(benchmark.train_stream[0])
    layers = quantized_layers(strategy.model)
    assert {layer.weight_quantizer.bits for layer in layers.values()} == {bits}
    assert set(seen) == {2 * len(layers)}  # of source and target
    assert any(isinstance(p, DANNPlugin | DSANPlugin) for p in strategy.plugins)


@pytest.mark.parametrize(
    ("host", "message"),
    [("ewc", "unknown host 'ewc'"), ("dann:width=3", "width"), ("dsan:factor=0", "factor is 0")],
)
def test_a_host_that_is_none_is_refused(host: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        AlignQ(model=network(), optimizer=torch.optim.SGD(network().parameters()), host=host)


@pytest.mark.parametrize(
    "strategy",
    [{"name": "dsan"}, {"name": "zeroq", "host": "dann"}, {"name": "alignq", "host": "dsan"}],
)
def test_a_stream_without_a_target_is_refused_before_any_training(strategy):
    config = ExperimentConfig.from_dict(
        {
            "benchmark": {"name": "permuted-digits", "scenario": "domain"},
            "strategy": strategy,
            "model": {"name": "small-resnet", "stem_stride": 1},
        }
    )
    with pytest.raises(UserError, match="permuted-digits brings none"):
        check_configs([config])
