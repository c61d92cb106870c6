"""The networks of the HALRP paper have the sizes it was measured with."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from cl_strategies.errors import UserError
from cl_strategies.models.backbones.alexnet import small_alexnet
from cl_strategies.models.backbones.lenet import omniglot_lenet, wide_lenet
from cl_strategies.models.backbones.mlp import mlp
from cl_strategies.models.backbones.reduced_resnet import reduced_resnet18
from cl_strategies.plugins.low_rank.model import HALRPModel

OMNIGLOT = (
    (25 * 64 + 3 * 64)
    + (64 * 25 * 128 + 3 * 128)
    + (128 * 8 * 8 * 2500 + 3 * 2500)
    + (2500 * 1500 + 3 * 1500)
    + (1500 * 12 + 12)
)


@pytest.mark.parametrize(
    ("factory", "input_shape", "n_classes", "expected"),
    [
        (wide_lenet, (3, 32, 32), 10, 2_995_620),
        (wide_lenet, (3, 32, 32), 5, 2_993_115),
        (omniglot_lenet, (1, 32, 32), 12, OMNIGLOT),
        (small_alexnet, (3, 32, 32), 10, 6_533_450),
        (small_alexnet, (3, 64, 64), 10, 23_310_666),
        (small_alexnet, (3, 64, 64), 5, 23_300_421),
        (reduced_resnet18, (3, 32, 32), 10, 2_807_690),
        (reduced_resnet18, (3, 64, 64), 10, 2_838_410),
        (reduced_resnet18, (3, 64, 64), 5, 2_817_925),
        (mlp, (1, 28, 28), 10, 269_322),  # 784-256-256-10, Table 4
    ],
)
def test_parameter_counts_are_those_of_the_paper(factory, input_shape, n_classes, expected):
    with torch.device("meta"):
        model = factory(input_shape=input_shape, n_classes=n_classes, scenario="class")
    assert sum(p.numel() for p in model.parameters()) == expected


@pytest.mark.parametrize(
    ("factory", "input_shape", "n_classes", "layers", "fixed"),
    [
        # scales and normalizations, and the head, of one task
        (wide_lenet, (3, 32, 32), 10, 4, (5393, 2740, 5010)),
        (wide_lenet, (3, 32, 32), 5, 4, (5393, 2740, 2505)),
        (small_alexnet, (3, 32, 32), 10, 5, 37_389),
        (reduced_resnet18, (3, 32, 32), 10, 20, 19_373),
    ],
)
def test_fixed_size_of_a_task_is_that_of_the_paper(factory, input_shape, n_classes, layers, fixed):
    model = HALRPModel(
        factory(input_shape=input_shape, n_classes=n_classes, scenario="task")
    ).train()
    for label in (0, 1):
        classes = list(range(n_classes))
        model.adaptation(SimpleNamespace(task_labels=[label], classes_in_this_experience=classes))
        if label == 1:
            model.set_factors(
                {
                    name: (
                        torch.ones(layer.weight.shape[0]),
                        torch.ones(layer.weight.shape[1]),
                        torch.zeros(layer.weight.shape[0], 0),
                        torch.zeros(0, layer.weight.shape[1]),
                    )
                    for name, layer in model.layers.items()
                }
            )
        model.finish()
    size = model.sizes()[1]
    assert len(model.layers) == layers
    counted = (size.scales, size.norms, size.head)
    assert (counted if isinstance(fixed, tuple) else sum(counted)) == fixed
    assert size.low_rank == 0


@torch.no_grad()
@pytest.mark.parametrize(
    ("factory", "input_shape"),
    [
        (wide_lenet, (1, 8, 8)),
        (wide_lenet, (1, 28, 28)),
        (small_alexnet, (3, 19, 19)),
        (small_alexnet, (1, 28, 28)),
        (reduced_resnet18, (1, 9, 9)),
        (reduced_resnet18, (1, 28, 28)),
        (reduced_resnet18, (3, 15, 17)),
    ],
)
def test_other_images_work_and_one_is_enough(factory, input_shape):
    model = factory(input_shape=input_shape, n_classes=4, scenario="domain").eval()
    x = torch.randn(5, *input_shape)
    together = model(x)
    assert together.shape == (5, 4)
    alone = torch.cat([model(image[None]) for image in x])
    torch.testing.assert_close(alone, together, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("factory", [wide_lenet, small_alexnet])
def test_last_mini_batch_of_one_sample_does_not_end_training(factory):
    model = factory(input_shape=(1, 28, 28), n_classes=4, scenario="domain").train()
    statistics = [m for m in model.modules() if isinstance(m, nn.BatchNorm1d)]
    model(torch.randn(6, 1, 28, 28))
    before = [m.running_mean.clone() for m in statistics]
    model(torch.randn(1, 1, 28, 28)).sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    assert all(torch.equal(m.running_mean, b) for m, b in zip(statistics, before, strict=True))


@pytest.mark.parametrize(
    ("factory", "input_shape"),
    [
        (wide_lenet, (1, 3, 8)),
        (small_alexnet, (3, 18, 32)),
        (small_alexnet, (64,)),
        (reduced_resnet18, (3, 8, 8)),
    ],
)
def test_images_that_are_too_small_are_refused(factory, input_shape):
    with pytest.raises(UserError, match="images"):
        factory(input_shape=input_shape, n_classes=4, scenario="task")


def test_widths_that_do_not_exist_are_refused():
    shape = {"input_shape": (1, 16, 16), "n_classes": 2, "scenario": "task"}
    with pytest.raises(UserError, match="two positive"):
        wide_lenet(**shape, hidden=(10,))
    with pytest.raises(UserError, match="width is 0"):
        reduced_resnet18(**shape, width=0)
