"""Multilayer perceptron."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from cl_strategies.errors import UserError
from cl_strategies.models.heads import with_head


def mlp(
    *,
    input_shape: Sequence[int],
    n_classes: int,
    scenario: str,
    hidden: Sequence[int] = (256, 256),
    head: str = "auto",
) -> nn.Module:
    """Fully connected layers with ReLU on the flattened input.

    :param input_shape: shape of one input, without the batch.
    :param n_classes: units of a single head.
    :param scenario: ``"class"``, ``"domain"`` or ``"task"``.
    :param hidden: width of each hidden layer, at least one.
    :param head: ``"auto"`` or ``"growing"``.
    :raises UserError: for widths that are not positive integers.
    """
    if not hidden or any(type(width) is not int or width < 1 for width in hidden):
        raise UserError(f"hidden is {list(hidden)}: give one or more widths, such as [256, 256]")
    widths = [math.prod(input_shape), *hidden]
    layers: list[nn.Module] = [nn.Flatten()]
    for n_in, n_out in pairwise(widths):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    return with_head(
        nn.Sequential(*layers), widths[-1], n_classes=n_classes, scenario=scenario, head=head
    )
