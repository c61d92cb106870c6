"""A small residual network for images of any size, with averaged feature maps."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import nn

from cl_strategies.errors import UserError
from cl_strategies.models.heads import with_head
from cl_strategies.models.reduced_resnet import BasicBlock


def small_resnet(
    *,
    input_shape: Sequence[int],
    n_classes: int,
    scenario: str,
    channels: Sequence[int] = (32, 64),
    blocks: int = 1,
    stem_stride: int = 4,
    head: str = "auto",
) -> nn.Module:
    """A convolution, stages of residual blocks, and the mean over the image.

    Each stage but the first halves the resolution. What the classifier is given is the spatial
    mean of the last feature maps, behind a ReLU, so that class activation maps are defined: 8x8
    of them for images of 64x64 pixels and the defaults (82,000 parameters).

    :param input_shape: ``(C, H, W)``, of any size.
    :param n_classes: units of a single head.
    :param scenario: ``"class"``, ``"domain"`` or ``"task"``.
    :param channels: of each stage.
    :param blocks: of each stage.
    :param stem_stride: of the first convolution; 1 for small images.
    :param head: ``"auto"`` or ``"growing"``.
    :raises UserError: if the input is not an image, or a number is not positive.
    """
    if len(input_shape) != 3:
        raise UserError(f"small-resnet takes images (C, H, W), not {tuple(input_shape)}")
    if not channels or min(*channels, blocks, stem_stride) < 1:
        raise UserError(
            f"channels {list(channels)}, blocks {blocks} and stem_stride {stem_stride} must be "
            "positive"
        )
    first, kernel = channels[0], max(3, 2 * stem_stride - 1)
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv=nn.Conv2d(input_shape[0], first, kernel, stem_stride, padding=kernel // 2, bias=False),
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
    return with_head(nn.Sequential(layers), n_in, n_classes=n_classes, scenario=scenario, head=head)
