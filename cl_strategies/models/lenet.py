"""The wide LeNets with BatchNorm on which low-rank methods are compared.

Li et al., "Hessian Aware Low-Rank Perturbation for Order-Robust Continual Learning", Appendix
F.2: 20-50-800-500 for CIFAR-100 and permuted MNIST, 64-128-2500-1500 for Omniglot-Rotation.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from cl_strategies.errors import UserError
from cl_strategies.models.batch_norm import BatchNorm1d
from cl_strategies.models.heads import with_head


def wide_lenet(
    *,
    input_shape: Sequence[int],
    n_classes: int,
    scenario: str,
    channels: Sequence[int] = (20, 50),
    hidden: Sequence[int] = (800, 500),
    head: str = "auto",
) -> nn.Module:
    """Two blocks of 5x5 convolution, BatchNorm, ReLU and 2x2 max-pooling, two hidden layers.

    On 3x32x32 images with 10 classes it has 2,995,620 parameters.

    :param input_shape: ``(C, H, W)``, at least 4x4 pixels.
    :param n_classes: units of a single head.
    :param scenario: ``"class"``, ``"domain"`` or ``"task"``.
    :param channels: channels of the two convolutions.
    :param hidden: widths of the two hidden layers.
    :param head: ``"auto"`` or ``"growing"``.
    :raises UserError: for an image that is too small, or other than two positive widths.
    """
    if len(input_shape) != 3 or min(input_shape[1:]) < 4:
        raise UserError(f"wide-lenet takes images of at least 4x4 pixels, not {tuple(input_shape)}")
    if len(channels) != 2 or len(hidden) != 2 or min(*channels, *hidden) < 1:
        raise UserError(
            f"channels {list(channels)} and hidden {list(hidden)} must be two positive numbers each"
        )
    n_in, height, width = input_shape
    layers: list[nn.Module] = []
    for n_out in channels:
        layers += [
            nn.Conv2d(n_in, n_out, 5, padding=2),
            nn.BatchNorm2d(n_out),
            nn.ReLU(),
            nn.MaxPool2d(2),
        ]
        n_in, height, width = n_out, height // 2, width // 2
    layers.append(nn.Flatten())
    n_in *= height * width
    for n_out in hidden:
        layers += [nn.Linear(n_in, n_out), BatchNorm1d(n_out), nn.ReLU()]
        n_in = n_out
    backbone = nn.Sequential(*layers)
    return with_head(backbone, n_in, n_classes=n_classes, scenario=scenario, head=head)


def omniglot_lenet(
    *, input_shape: Sequence[int], n_classes: int, scenario: str, head: str = "auto"
) -> nn.Module:
    """:func:`wide_lenet` with 64-128-2500-1500, for 1x32x32 Omniglot characters.

    :param input_shape: ``(C, H, W)``, at least 4x4 pixels.
    :param n_classes: units of a single head.
    :param scenario: ``"class"``, ``"domain"`` or ``"task"``.
    :param head: ``"auto"`` or ``"growing"``.
    :raises UserError: for an image that is too small.
    """
    return wide_lenet(
        input_shape=input_shape,
        n_classes=n_classes,
        scenario=scenario,
        channels=(64, 128),
        hidden=(2500, 1500),
        head=head,
    )
