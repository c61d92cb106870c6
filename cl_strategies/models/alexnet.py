"""The small AlexNet of the continual-learning literature, with BatchNorm."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from cl_strategies.errors import UserError
from cl_strategies.models.batch_norm import BatchNorm1d
from cl_strategies.models.heads import with_head

#: Output channels, kernel and dropout of each block.
_BLOCKS = ((64, 4, 0.2), (128, 3, 0.2), (256, 2, 0.5))
_HIDDEN = 2048


def small_alexnet(
    *, input_shape: Sequence[int], n_classes: int, scenario: str, head: str = "auto"
) -> nn.Module:
    """Three convolutions of 4x4, 3x3 and 2x2 without padding, two hidden layers of 2048 units.

    Every layer has BatchNorm with running statistics and dropout (Li et al., HALRP, Appendix F.2;
    the released code normalises by the statistics of the test batch). 6,533,450 parameters on
    3x32x32 images with 10 classes, 23,310,666 on 3x64x64.

    :param input_shape: ``(C, H, W)``, at least 19x19 pixels.
    :param n_classes: units of a single head.
    :param scenario: ``"class"``, ``"domain"`` or ``"task"``.
    :param head: ``"auto"`` or ``"growing"``.
    :raises UserError: for an image that is too small.
    """
    if len(input_shape) != 3:
        raise UserError(f"small-alexnet takes images (C, H, W), not {tuple(input_shape)}")
    n_in, height, width = input_shape
    layers: list[nn.Module] = []
    for n_out, kernel, dropout in _BLOCKS:
        layers += [
            nn.Conv2d(n_in, n_out, kernel),
            nn.BatchNorm2d(n_out),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.MaxPool2d(2),
        ]
        n_in, height, width = n_out, (height - kernel + 1) // 2, (width - kernel + 1) // 2
    if min(height, width) < 1:
        raise UserError(
            f"small-alexnet needs images of at least 19x19 pixels, not "
            f"{input_shape[1]}x{input_shape[2]}: use cnn or wide-lenet"
        )
    layers.append(nn.Flatten())
    n_in *= height * width
    for _ in range(2):
        layers += [nn.Linear(n_in, _HIDDEN), BatchNorm1d(_HIDDEN), nn.ReLU(), nn.Dropout(0.5)]
        n_in = _HIDDEN
    backbone = nn.Sequential(*layers)
    return with_head(backbone, n_in, n_classes=n_classes, scenario=scenario, head=head)
