"""MobileNetV2 (Sandler et al., CVPR 2018) for 32x32 images."""

from __future__ import annotations

from collections import OrderedDict
from typing import Unpack

from torch import Tensor, nn
from torch.nn import functional as F

from cl_strategies.models.heads import with_head
from cl_strategies.models.options import HeadOptions, InputShape, image_shape
from cl_strategies.validation.hyperparameters import hyperparameters

#: Expansion, channels, blocks and stride of each stage (Table 2 of the paper). Stages 1 and 2 keep
#: their resolution here: images of 32 pixels would be 1 pixel wide before the last stages.
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 1),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
_LAST = 1280


class InvertedResidual(nn.Module):
    """A 1x1 convolution to more channels, a depth-wise 3x3 one, and a 1x1 one back.

    :param n_in: input channels.
    :param n_out: output channels.
    :param expansion: how many times more channels there are between.
    :param stride: of the depth-wise convolution; at 1 there is a shortcut, a 1x1 convolution where
        the number of channels changes.
    """

    def __init__(self, n_in: int, n_out: int, expansion: int, stride: int) -> None:
        super().__init__()
        inside = expansion * n_in
        self.conv1 = nn.Conv2d(n_in, inside, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inside)
        self.conv2 = nn.Conv2d(inside, inside, 3, stride, padding=1, groups=inside, bias=False)
        self.bn2 = nn.BatchNorm2d(inside)
        self.conv3 = nn.Conv2d(inside, n_out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(n_out)
        self.shortcut: nn.Module | None = None
        if stride == 1:
            self.shortcut = nn.Identity()
            if n_in != n_out:
                convolution = nn.Conv2d(n_in, n_out, 1, bias=False)
                self.shortcut = nn.Sequential(convolution, nn.BatchNorm2d(n_out))

    def forward(self, x: Tensor) -> Tensor:
        """:param x: ``(N, n_in, H, W)``. :returns: ``(N, n_out, H / stride, W / stride)``."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return y if self.shortcut is None else y + self.shortcut(x)


@hyperparameters
def mobilenet_v2_cifar(*, input_shape: InputShape, **head: Unpack[HeadOptions]) -> nn.Module:
    """Build MobileNetV2 with a first convolution and a second stage that keep the resolution.

    2.30 million parameters on color images with 10 classes: the network of LifeQuant's experiments
    on CIFAR-100, whose blocks have a shortcut wherever they keep the resolution.

    :raises UserError: if the input is not an image.
    """
    channels, _, _ = image_shape("mobilenet-v2-cifar", input_shape)
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv=nn.Conv2d(channels, 32, 3, padding=1, bias=False),
        bn=nn.BatchNorm2d(32),
        relu=nn.ReLU(),
    )
    n_in = 32
    for place, (expansion, n_out, blocks, stride) in enumerate(_STAGES):
        inside = []
        for block in range(blocks):
            inside.append(InvertedResidual(n_in, n_out, expansion, 1 if block else stride))
            n_in = n_out
        layers[f"stage{place + 1}"] = nn.Sequential(*inside)
    layers["last"] = nn.Conv2d(n_in, _LAST, 1, bias=False)
    layers["last_bn"], layers["last_relu"] = nn.BatchNorm2d(_LAST), nn.ReLU()
    layers["pool"], layers["flatten"] = nn.AdaptiveAvgPool2d(1), nn.Flatten()
    backbone = nn.Sequential(layers)
    return with_head(backbone, _LAST, **head)
