"""The residual networks for 32x32 images: He, Zhang, Ren, Sun, "Deep residual learning for image
recognition", CVPR 2016, Sec. 4.2."""

from __future__ import annotations

from collections import OrderedDict
from typing import Annotated, Literal, Unpack

from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import Doc

from cl_strategies.models.heads import with_head
from cl_strategies.models.options import HeadOptions, InputShape, Width, image_shape
from cl_strategies.validation.hyperparameters import hyperparameters
from cl_strategies.validation.parameter import Default

Shortcut = Annotated[
    Literal["padding", "projection"],
    Doc(
        "Shortcut where the shape changes: the paper's, without parameters (padding), or a 1x1 "
        "convolution with BatchNorm, as in AlignQ's and LifeQuant's code (projection)."
    ),
]


class Padding(nn.Module):
    """Option A of the paper: every second pixel, and zeros in the new channels.

    :param added: number of new channels.
    """

    def __init__(self, added: int) -> None:
        super().__init__()
        self.added = added

    def forward(self, x: Tensor) -> Tensor:
        """:param x: ``(N, C, H, W)``. :returns: ``(N, C + added, ceil(H / 2), ceil(W / 2))``."""
        before = self.added // 2
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, before, self.added - before))


class CifarBlock(nn.Module):
    """Two 3x3 convolutions with BatchNorm and a shortcut, then ReLU.

    :param n_in: input channels; ``n_out``: output channels; if they differ, the resolution halves.
    :param shortcut: where the shape changes: ``"padding"`` or ``"projection"``.
    """

    def __init__(self, n_in: int, n_out: int, shortcut: Shortcut) -> None:
        super().__init__()
        stride = 1 if n_in == n_out else 2
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.shortcut: nn.Module = nn.Identity()
        if n_in != n_out and shortcut == "padding":
            self.shortcut = Padding(n_out - n_in)
        elif n_in != n_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out)
            )

    def forward(self, x: Tensor) -> Tensor:
        """:param x: ``(N, n_in, H, W)``. :returns: ``(N, n_out, H / stride, W / stride)``."""
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class CifarResNetOptions(HeadOptions, total=False):
    """The options of a residual network for images of 32x32 pixels."""

    width: Annotated[Width, Default(16)]
    shortcut: Annotated[Shortcut, Default("padding")]


@hyperparameters
def resnet20(*, input_shape: InputShape, **options: Unpack[CifarResNetOptions]) -> nn.Module:
    """Build ResNet-20: as :func:`resnet56`, with 0.27 million parameters.

    :raises UserError: if the input is not an image.
    """
    return _resnet(20, input_shape, options)


@hyperparameters
def resnet56(*, input_shape: InputShape, **options: Unpack[CifarResNetOptions]) -> nn.Module:
    """Build ResNet-56, with 0.85 million parameters.

    A convolution and three stages of 16, 32 and 64 channels, then the mean over the image.

    :raises UserError: if the input is not an image.
    """
    return _resnet(56, input_shape, options)


def _resnet(depth: int, input_shape: InputShape, options: CifarResNetOptions) -> nn.Module:
    channels, _, _ = image_shape(f"resnet{depth}", input_shape)
    width, shortcut = options["width"], options["shortcut"]
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv=nn.Conv2d(channels, width, 3, padding=1, bias=False),
        bn=nn.BatchNorm2d(width),
        relu=nn.ReLU(),
    )
    n_in = width
    for stage in range(3):
        blocks = []
        for _ in range((depth - 2) // 6):
            blocks.append(CifarBlock(n_in, width * 2**stage, shortcut))
            n_in = width * 2**stage
        layers[f"stage{stage + 1}"] = nn.Sequential(*blocks)
    layers["pool"], layers["flatten"] = nn.AdaptiveAvgPool2d(1), nn.Flatten()
    backbone = nn.Sequential(layers)
    for module in backbone.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    return with_head(
        backbone,
        n_in,
        n_classes=options["n_classes"],
        scenario=options["scenario"],
        head=options["head"],
    )
