"""Convolutional networks with dropout after each block.

Park et al., "Continual Learning by Asymmetric Loss Approximation with Single-Side
Overestimation", ICCV 2019, supplement: Table C for CIFAR, Table D for Tiny ImageNet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Unpack

from annotated_types import Ge, Lt
from torch import nn
from typing_extensions import Doc

from cl_strategies.errors import UserError
from cl_strategies.models.heads import with_head
from cl_strategies.models.options import HeadOptions, InputShape, image_shape
from cl_strategies.validation.hyperparameters import hyperparameters


@hyperparameters
def dropout_cnn(
    *,
    input_shape: InputShape,
    channels: Annotated[
        Sequence[int], Ge(1), Doc("Channels of each block; each block halves the image.")
    ] = (4, 8),
    convolutions: Annotated[int, Ge(1), Doc("Convolutions of each block.")] = 2,
    hidden: Annotated[int, Ge(1), Doc("Width of the hidden layer.")] = 64,
    block_dropout: Annotated[
        float, Ge(0), Lt(1), Doc("Share of values that is dropped after each block.")
    ] = 0.25,
    dropout: Annotated[
        float, Ge(0), Lt(1), Doc("Share of values that is dropped after the hidden layer.")
    ] = 0.5,
    **head: Unpack[HeadOptions],
) -> nn.Module:
    """Build blocks of 3x3 convolutions with ReLU, max-pooling and dropout, and one hidden layer.

    The defaults are those of Table C: 39,822 parameters with 3x32x32 images and 90 classes. Table D
    is ``channels=(32, 32, 64, 64, 64)``, ``convolutions=1`` and ``hidden=2048``: 6,895,892
    parameters with 3x224x224 images and 180 classes.

    :raises UserError: if there is no block, or the image is too small for that many.
    """
    n_in, height, width = image_shape("dropout-cnn", input_shape)
    shrink = 2 ** len(channels)
    if not channels:
        raise UserError("channels is empty: give the channels of one or more blocks")
    if min(height, width) < shrink:
        raise UserError(
            f"{len(channels)} blocks of dropout-cnn need images of at least {shrink}x{shrink} "
            f"pixels, not {height}x{width}: give fewer channels"
        )
    layers: list[nn.Module] = []
    for n_out in channels:
        for _ in range(convolutions):
            layers += [nn.Conv2d(n_in, n_out, 3, padding=1), nn.ReLU()]
            n_in = n_out
        layers += [nn.MaxPool2d(2), nn.Dropout(block_dropout)]
    flat = n_in * (height // shrink) * (width // shrink)
    layers += [nn.Flatten(), nn.Linear(flat, hidden), nn.ReLU(), nn.Dropout(dropout)]
    return with_head(nn.Sequential(*layers), hidden, **head)
