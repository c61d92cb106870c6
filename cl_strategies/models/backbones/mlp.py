"""Multilayer perceptron."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Unpack

from annotated_types import Ge
from torch import nn
from typing_extensions import Doc

from cl_strategies.errors import UserError
from cl_strategies.models.heads import with_head
from cl_strategies.models.options import HeadOptions, InputShape
from cl_strategies.validation.hyperparameters import hyperparameters


@hyperparameters
def mlp(
    *,
    input_shape: InputShape,
    hidden: Annotated[Sequence[int], Ge(1), Doc("Width of each hidden layer.")] = (256, 256),
    **head: Unpack[HeadOptions],
) -> nn.Module:
    """Build fully connected layers with ReLU on the flattened input.

    :raises UserError: if there is no hidden layer.
    """
    if not hidden:
        raise UserError(f"hidden is {list(hidden)}: give one or more widths, such as [256, 256]")
    widths = [math.prod(input_shape), *hidden]
    layers: list[nn.Module] = [nn.Flatten()]
    for n_in, n_out in pairwise(widths):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    return with_head(nn.Sequential(*layers), widths[-1], **head)
