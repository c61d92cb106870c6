"""Residual networks."""

from __future__ import annotations

from typing import Unpack

from avalanche.models import SlimResNet18
from torch import nn

from cl_strategies.errors import UserError
from cl_strategies.models.heads import with_head
from cl_strategies.models.options import HeadOptions, InputShape, Width
from cl_strategies.validation.hyperparameters import hyperparameters


@hyperparameters
def slim_resnet18(
    *,
    input_shape: InputShape,
    width: Width = 20,
    **head: Unpack[HeadOptions],
) -> nn.Module:
    """Build Avalanche's ResNet-18 with few channels, as in GEM (Lopez-Paz and Ranzato, 2017).

    The first stage has 20 channels in the paper, and 64 in ResNet-18. The network reshapes its
    input to ``(3, 32, 32)``.

    :raises UserError: for samples of another shape.
    """
    if tuple(input_shape) != (3, 32, 32):
        raise UserError(
            f"slim-resnet18 takes images of shape (3, 32, 32), not {tuple(input_shape)}: use cnn"
        )
    backbone = SlimResNet18(head["n_classes"], nf=width)
    features = backbone.linear.in_features
    backbone.linear = nn.Identity()
    return with_head(backbone, features, **head)
