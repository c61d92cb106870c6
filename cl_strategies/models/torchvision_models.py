"""torchvision's ImageNet networks, with the heads of this package."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from cl_strategies.errors import UserError, unknown_name
from cl_strategies.models.heads import with_head

WEIGHTS = ("none", "imagenet")


def resnet18(
    *,
    input_shape: Sequence[int],
    n_classes: int,
    scenario: str,
    weights: str = "none",
    head: str = "auto",
) -> nn.Module:
    """ResNet-18 (11.7 million parameters with 1,000 classes); options as for :func:`resnet50`."""
    return _resnet("resnet18", input_shape, n_classes, scenario, weights, head)


def resnet50(
    *,
    input_shape: Sequence[int],
    n_classes: int,
    scenario: str,
    weights: str = "none",
    head: str = "auto",
) -> nn.Module:
    """ResNet-50 (25.6 million parameters with 1,000 classes).

    :param input_shape: ``(C, H, W)``; for other than three channels the first convolution is made
        anew.
    :param n_classes: units of a single head.
    :param scenario: ``"class"``, ``"domain"`` or ``"task"``.
    :param weights: ``"none"``: random; ``"imagenet"``: torchvision's, which it downloads once.
    :param head: ``"auto"`` or ``"growing"``.
    :raises UserError: if the input is not an image, or the weights cannot be had.
    """
    return _resnet("resnet50", input_shape, n_classes, scenario, weights, head)


def mobilenet_v2(
    *,
    input_shape: Sequence[int],
    n_classes: int,
    scenario: str,
    weights: str = "none",
    head: str = "auto",
) -> nn.Module:
    """MobileNetV2 (3.5 million parameters with 1,000 classes); options as for :func:`resnet50`."""
    network = _network("mobilenet_v2", input_shape, weights)
    first = network.features[0]
    first[0] = _first(first[0], input_shape[0])
    dropout, classifier = network.classifier
    pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), dropout)
    backbone = nn.Sequential(network.features, pool)
    features = classifier.in_features
    return with_head(backbone, features, n_classes=n_classes, scenario=scenario, head=head)


def _resnet(
    name: str,
    input_shape: Sequence[int],
    n_classes: int,
    scenario: str,
    weights: str,
    head: str,
) -> nn.Module:
    network = _network(name, input_shape, weights)
    network.conv1 = _first(network.conv1, input_shape[0])
    features = network.fc.in_features
    network.fc = nn.Identity()
    return with_head(network, features, n_classes=n_classes, scenario=scenario, head=head)


def _network(name: str, input_shape: Sequence[int], weights: str) -> Any:
    from torchvision import models

    if len(input_shape) != 3:
        raise UserError(f"{name} takes images (C, H, W), not {tuple(input_shape)}")
    if weights not in WEIGHTS:
        raise unknown_name("weights", weights, WEIGHTS)
    build: Callable[..., Any] = getattr(models, name)
    if weights == "none":
        return build(weights=None)
    if input_shape[0] != 3:
        raise UserError(
            f"ImageNet's weights are for three channels, and the images have {input_shape[0]}: "
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
    """``layer``, or one like it for another number of channels."""
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
