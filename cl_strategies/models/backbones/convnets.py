"""Small convolutional networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Unpack

from annotated_types import Ge
from torch import nn
from typing_extensions import Doc

from cl_strategies.errors import UserError
from cl_strategies.models.heads import with_head
from cl_strategies.models.options import HeadOptions, InputShape, image_shape
from cl_strategies.validation.hyperparameters import hyperparameters


@hyperparameters
def cnn(
    *,
    input_shape: InputShape,
    channels: Annotated[
        Sequence[int], Ge(1), Doc("Channels of each block; each block halves the image.")
    ] = (32, 64),
    hidden: Annotated[int, Ge(1), Doc("Width of the hidden layer.")] = 128,
    **head: Unpack[HeadOptions],
) -> nn.Module:
    """Build blocks of 3x3 convolution, ReLU and 2x2 max-pooling, then one hidden layer.

    :raises UserError: if there is no block, or the image is too small for that many.
    """
    n_in, height, width = image_shape("cnn", input_shape)
    shrink = 2 ** len(channels)
    if not channels:
        raise UserError("channels is empty: give the channels of one or more blocks")
    if min(height, width) < shrink:
        raise UserError(
            f"{len(channels)} blocks of cnn need images of at least {shrink}x{shrink} pixels, "
            f"not {height}x{width}: give fewer channels"
        )
    layers: list[nn.Module] = []
    for n_out in channels:
        layers += [nn.Conv2d(n_in, n_out, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        n_in = n_out
    flat = n_in * (height // shrink) * (width // shrink)
    layers += [nn.Flatten(), nn.Linear(flat, hidden), nn.ReLU()]
    return with_head(nn.Sequential(*layers), hidden, **head)


@hyperparameters
def lenet(*, input_shape: InputShape, **head: Unpack[HeadOptions]) -> nn.Module:
    """Build LeNet-5 (LeCun et al., 1998) with ReLU and max-pooling in place of the 1998 units.

    28x28 images are padded to 32x32, as in the paper; other sizes are taken as they are.

    :raises UserError: for images of less than 16x16 pixels.
    """
    n_in, height, width = image_shape("lenet", input_shape, 16)
    padding = 2 if (height, width) == (28, 28) else 0
    rows, columns = (((size + 2 * padding - 4) // 2 - 4) // 2 for size in (height, width))
    backbone = nn.Sequential(
        nn.Conv2d(n_in, 6, 5, padding=padding),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * rows * columns, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
    )
    return with_head(backbone, 84, **head)
