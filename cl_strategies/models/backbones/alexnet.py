"""The small AlexNet of the continual-learning literature, with BatchNorm."""

from __future__ import annotations

from typing import Unpack

from torch import nn

from cl_strategies.models.batch_norm import BatchNorm1d
from cl_strategies.models.heads import with_head
from cl_strategies.models.options import HeadOptions, InputShape, image_shape
from cl_strategies.validation.hyperparameters import hyperparameters

#: Output channels, kernel and dropout of each block.
_BLOCKS = ((64, 4, 0.2), (128, 3, 0.2), (256, 2, 0.5))
_HIDDEN = 2048


@hyperparameters
def small_alexnet(*, input_shape: InputShape, **head: Unpack[HeadOptions]) -> nn.Module:
    """Build three convolutions of 4x4, 3x3 and 2x2 without padding, and two layers of 2048 units.

    Every layer has BatchNorm with running statistics and dropout (Li et al., HALRP, Appendix F.2;
    the released code normalizes by the statistics of the test batch). 6,533,450 parameters on
    3x32x32 images with 10 classes, 23,310,666 on 3x64x64.

    :raises UserError: for images of less than 19x19 pixels.
    """
    n_in, height, width = image_shape("small-alexnet", input_shape, 19)
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
    layers.append(nn.Flatten())
    n_in *= height * width
    for _ in range(2):
        layers += [nn.Linear(n_in, _HIDDEN), BatchNorm1d(_HIDDEN), nn.ReLU(), nn.Dropout(0.5)]
        n_in = _HIDDEN
    backbone = nn.Sequential(*layers)
    return with_head(backbone, n_in, **head)
