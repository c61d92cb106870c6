"""The wide LeNets with BatchNorm on which low-rank methods are compared.

Li et al., "Hessian Aware Low-Rank Perturbation for Order-Robust Continual Learning", Appendix
F.2: 20-50-800-500 for CIFAR-100 and permuted MNIST, 64-128-2500-1500 for Omniglot-Rotation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Unpack

from annotated_types import Ge
from torch import nn
from typing_extensions import Doc

from cl_strategies.errors import UserError
from cl_strategies.models.batch_norm import BatchNorm1d
from cl_strategies.models.heads import with_head
from cl_strategies.models.options import HeadOptions, InputShape, image_shape
from cl_strategies.validation.hyperparameters import hyperparameters


@hyperparameters
def wide_lenet(
    *,
    input_shape: InputShape,
    channels: Annotated[Sequence[int], Ge(1), Doc("Channels of the two convolutions.")] = (20, 50),
    hidden: Annotated[Sequence[int], Ge(1), Doc("Widths of the two hidden layers.")] = (800, 500),
    **head: Unpack[HeadOptions],
) -> nn.Module:
    """Build two blocks of 5x5 convolution, BatchNorm, ReLU and max-pooling, and two hidden layers.

    On 3x32x32 images with 10 classes it has 2,995,620 parameters.

    :raises UserError: for images of less than 4x4 pixels, or other than two widths.
    """
    n_in, height, width = image_shape("wide-lenet", input_shape, 4)
    if len(channels) != 2 or len(hidden) != 2:
        raise UserError(
            f"channels {list(channels)} and hidden {list(hidden)} must be two positive numbers each"
        )
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
    return with_head(backbone, n_in, **head)


@hyperparameters
def omniglot_lenet(*, input_shape: InputShape, **head: Unpack[HeadOptions]) -> nn.Module:
    """Build :func:`wide_lenet` with 64-128-2500-1500, for 1x32x32 Omniglot characters.

    :raises UserError: for images of less than 4x4 pixels.
    """
    return wide_lenet(input_shape=input_shape, channels=(64, 128), hidden=(2500, 1500), **head)
