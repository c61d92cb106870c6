from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from avalanche.models.dynamic_modules import avalanche_model_adaptation
from torch import nn

from cl_strategies.errors import UserError
from cl_strategies.registry import registry

DIGIT, MNIST, CIFAR = (1, 8, 8), (1, 28, 28), (3, 32, 32)

#: name, input, options -> parameters by hand, with a head of 10 classes
COUNTS = [
    ("mlp", DIGIT, {}, 64 * 256 + 256 + 256 * 256 + 256 + 2570),
    ("mlp", MNIST, {"hidden": [100]}, 784 * 100 + 100 + 1010),
    ("cnn", DIGIT, {}, 320 + 18_496 + (64 * 2 * 2 * 128 + 128) + 1290),
    ("cnn", CIFAR, {"channels": [8], "hidden": 16}, 224 + (8 * 16 * 16 * 16 + 16) + 170),
    ("lenet", MNIST, {}, 61_706),  # LeCun et al. with a linear output layer
    ("small-resnet", CIFAR, {}, 4_704 + 64 + 18_624 + 57_920 + 650),
    ("slim-resnet18", CIFAR, {}, 580 + 14_560 + 51_600 + 205_600 + 820_800 + 1610),
]


def build(name: str, shape: tuple[int, ...], scenario: str = "class", **options: object):
    factory = registry("models")[name].load()
    return factory(input_shape=shape, n_classes=10, scenario=scenario, **options)


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(("name", "shape", "options", "expected"), COUNTS)
def test_a_model_has_the_parameters_that_its_layers_add_up_to(name, shape, options, expected):
    model = build(name, shape, **options)
    assert parameters(model) == expected
    assert model(torch.zeros(2, *shape)).shape == (2, 10)


@pytest.mark.parametrize(("name", "shape", "options", "expected"), COUNTS)
def test_a_task_model_is_its_backbone_and_the_heads_of_the_tasks_seen(
    name, shape, options, expected
):
    single = build(name, shape, **options)
    model = build(name, shape, "task", **options)
    backbone = parameters(single.backbone)
    assert parameters(model) == backbone

    for task in range(2):
        seen = SimpleNamespace(classes_in_this_experience=[0, 1], task_labels=[task])
        avalanche_model_adaptation(model, seen)

    features = single.head.in_features
    assert parameters(model) == backbone + 2 * (2 * features + 2)
    assert model(torch.zeros(2, *shape), torch.tensor([0, 1])).shape == (2, 2)


def test_every_model_builds_from_its_registered_defaults():
    color = ("slim-resnet18", "small-alexnet", "reduced-resnet18")
    shapes = {"lenet": MNIST, **dict.fromkeys(color, CIFAR)}
    for entry in registry("models"):
        options = entry.resolve_options({})
        model = build(entry.name, shapes.get(entry.name, DIGIT), **options)
        assert parameters(model) > 0


@pytest.mark.parametrize(
    ("name", "shape", "options", "message"),
    [
        ("mlp", DIGIT, {"hidden": []}, "hidden is"),
        ("mlp", DIGIT, {"hidden": [10, 0]}, "hidden is"),
        ("cnn", DIGIT, {"channels": [4, 4, 4, 4]}, "at least 16x16"),
        ("cnn", DIGIT, {"channels": [0]}, "channels is .0., a list: give"),
        ("cnn", (64,), {}, "images"),
        ("lenet", DIGIT, {}, "at least 16x16"),
        ("slim-resnet18", DIGIT, {}, r"\(3, 32, 32\)"),
        ("slim-resnet18", CIFAR, {"width": 0}, "width is 0"),
    ],
)
def test_a_model_that_cannot_be_built_is_refused(name, shape, options, message):
    with pytest.raises(UserError, match=message):
        build(name, shape, **options)
