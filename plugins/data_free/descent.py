"""Steps that change what an optimizer holds and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

#: Momentum of the fine-tuning of a quantized network, in all papers.
MOMENTUM = 0.9


def step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """Take one step down ``loss``.

    Gradients go to the parameters of ``optimizer`` alone: the networks that the loss passes through
    have none afterwards.
    """
    leaves = [leaf for group in optimizer.param_groups for leaf in group["params"]]
    gradients = torch.autograd.grad(loss, leaves, allow_unused=True)
    for leaf, gradient in zip(leaves, gradients, strict=True):
        leaf.grad = gradient
    optimizer.step()
    optimizer.zero_grad()


def tuning(student: nn.Module, *, lr: float, **options: Any) -> Callable[[Tensor], None]:
    """Return what takes one step of SGD on the parameters of ``student`` that are not frozen.

    :param options: of :class:`torch.optim.SGD`, beside the momentum.
    """
    trained = [parameter for parameter in student.parameters() if parameter.requires_grad]
    if not trained:
        return lambda loss: None
    optimizer = torch.optim.SGD(trained, lr=lr, momentum=MOMENTUM, **options)
    return lambda loss: step(optimizer, loss)
