"""torchvision's ImageNet networks, with the heads of this package."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, Unpack

from annotated_types import Ge
from torch import nn
from typing_extensions import Doc

from cl_strategies.errors import UserError
from cl_strategies.models.heads import with_head
from cl_strategies.models.options import HeadOptions, InputShape, image_shape
from cl_strategies.validation.hyperparameters import hyperparameters
from cl_strategies.validation.parameter import Since

Weights = Annotated[
    Literal["none", "imagenet"],
    Doc("Initial weights: random (none), or torchvision's, which it downloads once (imagenet)."),
]
Bottleneck = Annotated[
    int,
    Ge(0),
    Doc(
        "Units of a linear layer below the classifier, ``backbone.fc``, whose outputs are then the "
        "features; 0: none. DSAN's authors have 256, without an activation."
    ),
    Since("0.2"),
]


@hyperparameters
def resnet18(
    *,
    input_shape: InputShape,
    weights: Weights = "none",
    bottleneck: Bottleneck = 0,
    **head: Unpack[HeadOptions],
) -> nn.Module:
    """Build ResNet-18 as :func:`resnet50` (11.7 million parameters with 1,000 classes).

    :raises UserError: if the input is not an image, or the weights cannot be had.
    """
    return _resnet("resnet18", input_shape, weights, bottleneck, head)


@hyperparameters
def resnet50(
    *,
    input_shape: InputShape,
    weights: Weights = "none",
    bottleneck: Bottleneck = 0,
    **head: Unpack[HeadOptions],
) -> nn.Module:
    """Build ResNet-50 (25.6 million parameters with 1,000 classes).

    For images of other than three channels the first convolution is made anew.

    :raises UserError: if the input is not an image, or the weights cannot be had.
    """
    return _resnet("resnet50", input_shape, weights, bottleneck, head)


@hyperparameters
def mobilenet_v2(
    *,
    input_shape: InputShape,
    weights: Weights = "none",
    **head: Unpack[HeadOptions],
) -> nn.Module:
    """Build MobileNetV2 as :func:`resnet50` (3.5 million parameters with 1,000 classes).

    :raises UserError: if the input is not an image, or the weights cannot be had.
    """
    network = _network("mobilenet_v2", input_shape, weights)
    first = network.features[0]
    first[0] = _first(first[0], input_shape[0])
    dropout, classifier = network.classifier
    pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), dropout)
    backbone = nn.Sequential(network.features, pool)
    features = classifier.in_features
    return with_head(backbone, features, **head)


def _resnet(
    name: str, input_shape: InputShape, weights: Weights, bottleneck: int, head: HeadOptions
) -> nn.Module:
    network = _network(name, input_shape, weights)
    network.conv1 = _first(network.conv1, input_shape[0])
    features = network.fc.in_features
    network.fc = nn.Linear(features, bottleneck) if bottleneck else nn.Identity()
    return with_head(network, bottleneck or features, **head)


def _network(name: str, input_shape: InputShape, weights: Weights) -> Any:
    from torchvision import models

    channels, _, _ = image_shape(name, input_shape)
    build: Callable[..., Any] = getattr(models, name)
    if weights == "none":
        return build(weights=None)
    if channels != 3:
        raise UserError(
            f"ImageNet's weights are for three channels, and the images have {channels}: "
            "set weights to none"
        )
    try:
        return build(weights="IMAGENET1K_V1")
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"the weights of {name} could not be downloaded ({error}): put torchvision's file in "
            "torch's folder of checkpoints, or set weights to none"
        ) from error


def _first(layer: nn.Conv2d, channels: int) -> nn.Conv2d:
    """Return ``layer``, or one like it for another number of channels."""
    if layer.in_channels == channels:
        return layer
    made = nn.Conv2d(
        channels,
        layer.out_channels,
        layer.kernel_size,  # type: ignore[arg-type]
        layer.stride,  # type: ignore[arg-type]
        layer.padding,  # type: ignore[arg-type]
        bias=False,
    )
    nn.init.kaiming_normal_(made.weight, mode="fan_out", nonlinearity="relu")
    return made
