"""A small residual network for images of any size, with averaged feature maps."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Annotated, Unpack

from annotated_types import Ge
from torch import nn
from typing_extensions import Doc

from cl_strategies.errors import UserError
from cl_strategies.models.backbones.reduced_resnet import BasicBlock
from cl_strategies.models.heads import with_head
from cl_strategies.models.options import HeadOptions, InputShape, image_shape
from cl_strategies.validation.hyperparameters import hyperparameters


@hyperparameters
def small_resnet(
    *,
    input_shape: InputShape,
    channels: Annotated[Sequence[int], Ge(1), Doc("Channels of each stage.")] = (32, 64),
    blocks: Annotated[int, Ge(1), Doc("Residual blocks in each stage.")] = 1,
    stem_stride: Annotated[
        int, Ge(1), Doc("Stride of the first convolution; 1 for small images.")
    ] = 4,
    **head: Unpack[HeadOptions],
) -> nn.Module:
    """Build a convolution, stages of residual blocks, and the mean over the image.

    Each stage but the first halves the resolution. What the classifier is given is the spatial
    mean of the last feature maps, behind a ReLU, so that class activation maps are defined: 8x8
    of them for images of 64x64 pixels and the defaults (82,000 parameters).

    :raises UserError: if the input is not an image, or there is no stage.
    """
    n_in, _, _ = image_shape("small-resnet", input_shape)
    if not channels:
        raise UserError("channels is empty: give the channels of one or more stages")
    first, kernel = channels[0], max(3, 2 * stem_stride - 1)
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv=nn.Conv2d(n_in, first, kernel, stem_stride, padding=kernel // 2, bias=False),
        bn=nn.BatchNorm2d(first),
        relu=nn.ReLU(),
    )
    n_in = first
    for stage, n_out in enumerate(channels):
        inside: list[nn.Module] = []
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            inside.append(BasicBlock(n_in, n_out, stride))
            n_in = n_out
        layers[f"stage{stage + 1}"] = nn.Sequential(*inside)
    layers["pool"], layers["flatten"] = nn.AdaptiveAvgPool2d(1), nn.Flatten()
    return with_head(nn.Sequential(layers), n_in, **head)
