"""ResNet-18 with half the filters and biases in its convolutions, as HALRP uses it."""

from __future__ import annotations

from collections import OrderedDict
from typing import Unpack

from torch import Tensor, nn
from torch.nn import functional as F

from cl_strategies.models.heads import with_head
from cl_strategies.models.options import HeadOptions, InputShape, Width, image_shape
from cl_strategies.validation.hyperparameters import hyperparameters


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, which is 1x1 where the shape changes.

    :param n_in: input channels.
    :param n_out: output channels.
    :param stride: of the first convolution.
    """

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, padding=1)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or n_in != n_out:
            self.shortcut = nn.Sequential(nn.Conv2d(n_in, n_out, 1, stride), nn.BatchNorm2d(n_out))

    def forward(self, x: Tensor) -> Tensor:
        """:param x: ``(N, n_in, H, W)``. :returns: ``(N, n_out, H / stride, W / stride)``."""
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


@hyperparameters
def reduced_resnet18(
    *,
    input_shape: InputShape,
    width: Width = 32,
    **head: Unpack[HeadOptions],
) -> nn.Module:
    """Build ResNet-18 with 32-64-128-256 channels and 2x2 average pooling.

    Li et al., HALRP, Appendix F.2. 2,807,690 parameters on 3x32x32 images with 10 classes. The
    slimmer network of GEM, with 20 channels and without biases, is ``slim-resnet18``.

    :raises UserError: for images of less than 9x9 pixels.
    """
    channels, rows, columns = image_shape("reduced-resnet18", input_shape, 9)
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv=nn.Conv2d(channels, width, 3, padding=1), bn=nn.BatchNorm2d(width), relu=nn.ReLU()
    )
    n_in = width
    for stage in range(4):
        n_out, stride = width * 2**stage, 1 if stage == 0 else 2
        layers[f"stage{stage + 1}"] = nn.Sequential(
            BasicBlock(n_in, n_out, stride), BasicBlock(n_out, n_out, 1)
        )
        n_in, rows, columns = n_out, -(-rows // stride), -(-columns // stride)
    layers["pool"], layers["flatten"] = nn.AvgPool2d(2), nn.Flatten()
    features = n_in * (rows // 2) * (columns // 2)
    backbone = nn.Sequential(layers)
    return with_head(backbone, features, **head)
