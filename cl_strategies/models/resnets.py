"""Residual networks."""

from __future__ import annotations

from collections.abc import Sequence

from avalanche.models import SlimResNet18
from torch import nn

from cl_strategies.errors import UserError
from cl_strategies.models.heads import with_head


def slim_resnet18(
    *,
    input_shape: Sequence[int],
    n_classes: int,
    scenario: str,
    width: int = 20,
    head: str = "auto",
) -> nn.Module:
    """ResNet-18 with few channels, as in GEM (Lopez-Paz and Ranzato, 2017): Avalanche's.

    :param input_shape: ``(3, 32, 32)``: the network reshapes its input to that.
    :param n_classes: units of a single head.
    :param scenario: ``"class"``, ``"domain"`` or ``"task"``.
    :param width: channels of the first stage (20 in the paper, 64 in ResNet-18).
    :param head: ``"auto"`` or ``"growing"``.
    :raises UserError: for another input shape, or a width below 1.
    """
    if tuple(input_shape) != (3, 32, 32):
        raise UserError(
            f"slim-resnet18 takes images of shape (3, 32, 32), not {tuple(input_shape)}: use cnn"
        )
    if width < 1:
        raise UserError(f"width is {width}: give at least 1")
    backbone = SlimResNet18(n_classes, nf=width)
    features = backbone.linear.in_features
    backbone.linear = nn.Identity()
    return with_head(backbone, features, n_classes=n_classes, scenario=scenario, head=head)
