"""Small convolutional networks."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from cl_strategies.errors import UserError
from cl_strategies.models.heads import with_head


def cnn(
    *,
    input_shape: Sequence[int],
    n_classes: int,
    scenario: str,
    channels: Sequence[int] = (32, 64),
    hidden: int = 128,
    head: str = "auto",
) -> nn.Module:
    """Blocks of 3x3 convolution, ReLU and 2x2 max-pooling, then one hidden layer.

    :param input_shape: ``(C, H, W)``.
    :param n_classes: units of a single head.
    :param scenario: ``"class"``, ``"domain"`` or ``"task"``.
    :param channels: channels of each block; each block halves the image.
    :param hidden: width of the hidden layer.
    :param head: ``"auto"`` or ``"growing"``.
    :raises UserError: if the image is too small for that many blocks, or a width is not
        positive.
    """
    n_in, height, width = _image(input_shape)
    shrink = 2 ** len(channels)
    if min(height, width) < shrink:
        raise UserError(
            f"{len(channels)} blocks of cnn need images of at least {shrink}x{shrink} pixels, "
            f"not {height}x{width}: give fewer channels"
        )
    if not channels or min(*channels, hidden) < 1:
        raise UserError(f"channels {list(channels)} and hidden {hidden} must be positive")
    layers: list[nn.Module] = []
    for n_out in channels:
        layers += [nn.Conv2d(n_in, n_out, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        n_in = n_out
    flat = n_in * (height // shrink) * (width // shrink)
    layers += [nn.Flatten(), nn.Linear(flat, hidden), nn.ReLU()]
    return with_head(
        nn.Sequential(*layers), hidden, n_classes=n_classes, scenario=scenario, head=head
    )


def lenet(
    *, input_shape: Sequence[int], n_classes: int, scenario: str, head: str = "auto"
) -> nn.Module:
    """LeNet-5 (LeCun et al., 1998) with ReLU and max-pooling in place of the 1998 units.

    28x28 images are padded to 32x32, as in the paper; other sizes are taken as they are.

    :param input_shape: ``(C, H, W)``, at least 16x16 pixels.
    :param n_classes: units of a single head.
    :param scenario: ``"class"``, ``"domain"`` or ``"task"``.
    :param head: ``"auto"`` or ``"growing"``.
    :raises UserError: if the image is too small.
    """
    n_in, height, width = _image(input_shape)
    padding = 2 if (height, width) == (28, 28) else 0
    rows, columns = (((size + 2 * padding - 4) // 2 - 4) // 2 for size in (height, width))
    if min(rows, columns) < 1:
        raise UserError(
            f"lenet needs images of at least 16x16 pixels, not {height}x{width}: use cnn"
        )
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
    return with_head(backbone, 84, n_classes=n_classes, scenario=scenario, head=head)


def _image(shape: Sequence[int]) -> tuple[int, int, int]:
    if len(shape) != 3:
        raise UserError(f"a convolutional network takes images (C, H, W), not {tuple(shape)}")
    channels, height, width = shape
    return channels, height, width
