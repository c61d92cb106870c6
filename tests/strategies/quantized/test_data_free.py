"""Quantization without data: what the methods gain, refuse, leave alone and compute."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F

from cl_strategies.benchmarks import build_benchmark
from cl_strategies.errors import UserError
from cl_strategies.models import mlp, small_resnet
from cl_strategies.plugins.data_free.batch_norm import matched_images, watching
from cl_strategies.plugins.data_free.functional import batch_statistics_loss
from cl_strategies.plugins.data_free.generator import Generator
from cl_strategies.plugins.data_free.trained import Trained
from cl_strategies.plugins.quantization.calibrated_copy import quantized_copy
from cl_strategies.plugins.quantization.conversion.layers import quantized_layers
from cl_strategies.registry import registry
from cl_strategies.strategies import ZAQ, IntraQ, Naive, Qimera, ZeroQ

#: Few steps, for what does not depend on how good the images are.
FEW: dict[type, dict[str, Any]] = {
    ZeroQ: {"iterations": 2},
    ZAQ: {"iterations": 1, "student_steps": 2, "images": 8},
    Qimera: {"iterations": 2, "warmup": 2, "images": 8},
    IntraQ: {"image_iterations": 2, "batches": 2, "iterations": 2, "images": 8},
}
METHODS = list(FEW)
SEEDS = range(3)
#: Mean and deviation of the digits, which a network for normalized images need not be told.
SCALE = {"input_mean": 0.3, "input_deviation": 0.38}
THREE = {"weight_bits": 3, "activation_bits": 3}


def digits() -> tuple[Tensor, Tensor]:
    x, y = load_digits(return_X_y=True)
    return torch.tensor(x / 16).float().view(-1, 1, 8, 8), torch.tensor(y)


def stream(scenario: str = "class", each: int = 60) -> Any:
    x, y = digits()
    parts = [(x[chosen][:each], y[chosen][:each]) for chosen in (y < 5, y >= 5)]
    return build_benchmark(parts, parts, name="halves", scenario=scenario)


def network(scenario: str = "class") -> nn.Module:
    torch.manual_seed(3)
    return small_resnet(
        input_shape=(1, 8, 8), n_classes=10, scenario=scenario, channels=[4, 6], stem_stride=1
    )


def build(kind: Any, model: nn.Module, **options: Any) -> Any:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    settings = {**FEW.get(kind, {}), "train_mb_size": 16, "evaluator": None, **options}
    return kind(model=model, optimizer=optimizer, **settings)


def trained_network(seed: int) -> tuple[nn.Module, Tensor, Tensor]:
    """A network that knows the digits, and the images that it has not seen."""
    x, y = digits()
    torch.manual_seed(seed)
    model = small_resnet(
        input_shape=(1, 8, 8), n_classes=10, scenario="class", channels=[8, 16], stem_stride=1
    )
    order = torch.randperm(len(x))
    train, test = order[:1300], order[1300:]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for epoch in range(4):
        optimizer.param_groups[0]["lr"] = 0.05 if epoch < 3 else 0.01
        for rows in train[torch.randperm(len(train))].split(32):
            optimizer.zero_grad()
            F.cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()
    return model.eval(), x[test], y[test]


@pytest.fixture(scope="module")
def networks() -> list[tuple[nn.Module, Tensor, Tensor]]:
    with torch.random.fork_rng(devices=[]):
        return [trained_network(seed) for seed in SEEDS]


def quantized(kind: Any, model: nn.Module, seed: int, **options: Any) -> nn.Module:
    """Return what a method makes of a trained network: nothing but the network goes in."""
    strategy = build(kind, copy.deepcopy(model), **options)
    network = strategy.model.eval()
    student = quantized_copy(network, **strategy.settings)
    like, classes = torch.empty(0, 1, 8, 8), {0: list(range(10))}
    trained = Trained(network, like, classes, lambda _, logits, __: logits, **strategy.scale)
    torch.manual_seed(seed)
    strategy.fit(student, trained)
    return student


@torch.no_grad()
def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    return float((model.eval()(x).argmax(1) == y).double().mean())


def defaults(kind: Any) -> dict[str, Any]:
    """The options of a method, in place of the few steps of the other tests."""
    entry = next(e for e in registry("strategies") if e.load() is kind)
    return dict(entry.defaults())


def mean_accuracy(networks: Any, kind: Any, **options: Any) -> float:
    found = [
        accuracy(quantized(kind, model, seed, **options), x, y)
        for seed, (model, x, y) in enumerate(networks)
    ]
    return sum(found) / len(found)


@pytest.mark.slow
def test_images_of_zeroq_find_the_scale_that_noise_does_not_have(networks: Any) -> None:
    plain = mean_accuracy(networks, ZeroQ, iterations=0)
    assert mean_accuracy(networks, ZeroQ, iterations=40) > plain + 0.01


@pytest.mark.slow
@pytest.mark.parametrize("kind", [ZeroQ, Qimera, IntraQ])
def test_four_bits_are_better_than_plain_min_max_where_the_scale_is_unknown(
    networks: Any, kind: Any
) -> None:
    plain = mean_accuracy(networks, ZeroQ, iterations=0)
    assert mean_accuracy(networks, kind, **defaults(kind)) > plain + 0.005


@pytest.mark.slow
@pytest.mark.parametrize("kind", [ZAQ, Qimera, IntraQ])
def test_three_bits_are_better_than_plain_min_max_by_training(networks: Any, kind: Any) -> None:
    options = {**SCALE, **THREE}
    plain = mean_accuracy(networks, ZeroQ, iterations=0, **options)
    found = mean_accuracy(networks, kind, **{**defaults(kind), **options})
    assert found > plain + 0.02


@pytest.mark.parametrize("kind", METHODS)
def test_the_network_is_that_of_naive_bit_for_bit_and_its_copy_has_four_bits(kind: Any) -> None:
    benchmark, models = stream(), []
    for made in (Naive, kind):
        strategy = build(made, network())
        torch.manual_seed(1)
        for experience in benchmark.train_stream:
            strategy.train(experience)
        models.append(strategy.model.state_dict())
    assert all(torch.equal(models[0][key], models[1][key]) for key in models[0])
    assert strategy.evaluated_model is strategy.quantized is not strategy.model
    for layer in quantized_layers(strategy.quantized).values():
        weight = layer.quantized_weight().flatten(1)
        assert all(len(channel.unique()) <= 16 for channel in weight)
    trained = strategy.model
    strategy.eval(benchmark.test_stream)
    assert strategy.model is trained


@pytest.mark.parametrize("kind", METHODS)
def test_every_task_of_a_model_with_heads_can_be_drawn(kind: Any) -> None:
    benchmark, strategy = stream("task"), build(kind, network("task"))
    for experience in benchmark.train_stream:
        strategy.train(experience)
    strategy.eval(benchmark.test_stream)
    trained = strategy._trained()
    with torch.no_grad():
        drawn = [trained.draw(4, 2) for _ in range(20)]
    assert {d.task for d in drawn} == {0, 1}
    assert all((d.labels < 5).all() if d.task == 0 else (d.labels >= 0).all() for d in drawn)


@pytest.mark.parametrize("kind", METHODS)
def test_what_a_method_lacks_is_refused_when_it_is_made(kind: Any) -> None:
    plain = mlp(input_shape=(1, 8, 8), n_classes=10, scenario="class", hidden=[8])
    with pytest.raises(UserError, match="Conv2d" if kind is ZAQ else "BatchNorm"):
        build(kind, plain)
    bare = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(144, 10))
    with pytest.raises(UserError, match="BatchNorm"):
        build(kind, bare)
    with pytest.raises(UserError, match="images is 1"):
        build(kind, network(), images=1)
    with pytest.raises(UserError, match="weight_bits"):
        build(kind, network(), weight_bits=9)
    with pytest.raises(UserError, match="matches no module"):
        build(kind, network(), skip=["nothing"])


def test_frozen_parameters_stay_in_the_quantized_copy() -> None:
    model = network()
    model.backbone.conv.weight.requires_grad_(False)
    before = model.backbone.conv.weight.detach().clone()
    strategy = build(IntraQ, model)
    strategy.train(stream().train_stream[0])
    assert torch.equal(strategy.quantized.backbone.conv.weight, before)
    assert all(p.grad is None for p in strategy.quantized.parameters())


def test_matched_images_have_the_statistics_kept() -> None:
    model = trained_network(0)[0]
    with watching(model) as inputs:

        def loss(images: Tensor) -> Tensor:
            model(images)
            return batch_statistics_loss(*inputs.take())

        start = torch.randn(16, 1, 8, 8)
        images = matched_images(start, loss, iterations=30, lr=0.1, patience=100)
        assert loss(images) < 0.3 * loss(start)


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 5, 7), (12,)])
def test_a_generator_makes_normalized_inputs_of_any_shape(shape: tuple[int, ...]) -> None:
    made = Generator(4, torch.empty(0, *shape, dtype=torch.float64))(torch.randn(6, 4).double())
    assert made.shape == (6, *shape) and made.dtype == torch.float64
    channels = made.transpose(0, 1).flatten(1)
    assert channels.mean(1).abs().max() < 1e-6
