"""A small network that tells two domains apart, and its steps beside those of another network."""

from __future__ import annotations

import inspect

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.optim import Optimizer


def domain_loss(source: Tensor, target: Tensor) -> Tensor:
    """Return the loss of a domain classifier: the mean over the source, plus that over the target.

    DANN, Eq. 12; the source is domain 0.

    :param source: logits of domain 1 for the source ``(N_s, 1)``.
    :param target: logits of domain 1 for the target ``(N_t, 1)``.
    """
    return binary_cross_entropy_with_logits(
        source, torch.zeros_like(source)
    ) + binary_cross_entropy_with_logits(target, torch.ones_like(target))


def domain_network(features: int, hidden: int) -> nn.Sequential:
    """Return two layers from ``features`` to one logit, with ``hidden`` units between."""
    return nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, 1))


class BesideOptimizer:
    """Steps of a network's parameters as another optimizer would make them.

    It is of the same kind, with the options of the other's first group, whose learning rate it
    follows. The parameters need no place in the other, nor in a checkpoint.

    :param network: what is trained.
    :param other: the optimizer to follow.
    """

    def __init__(self, network: nn.Module, other: Optimizer) -> None:
        kind = type(other)
        known = inspect.signature(kind).parameters
        group = other.param_groups[0]
        options = {name: value for name, value in group.items() if name in known}
        options.pop("params", None)
        self._optimizer = kind(network.parameters(), **options)
        self._gradients = list(network.parameters())

    @torch.no_grad()
    def step(self, other: Optimizer, scale: float) -> None:
        """Make a step, and set the gradients to zero.

        :param scale: what the gradients are multiplied by; those of a gradient scaler that met an
            overflow make no step.
        """
        gradients = [p.grad for p in self._gradients if p.grad is not None]
        if scale != 1:
            torch._foreach_div_(gradients, scale)
        if scale == 1 or all(bool(gradient.isfinite().all()) for gradient in gradients):
            for group in self._optimizer.param_groups:
                group["lr"] = other.param_groups[0]["lr"]
            self._optimizer.step()
        self._optimizer.zero_grad()
