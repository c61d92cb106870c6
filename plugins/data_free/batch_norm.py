"""Images with the statistics that BatchNorm layers keep: the matcher that methods share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from cl_strategies.errors import UserError
from cl_strategies.plugins.data_free.descent import step

#: Learning rates that a plateau of the loss divides by ten do not fall below this (all papers).
LOWEST_RATE = 1e-4

Statistics = tuple[list[Tensor], list[Tensor], list[Tensor]]


class BatchNormInputs:
    """What the BatchNorm layers were given in the last forward pass, beside what they keep."""

    def __init__(self) -> None:
        self._seen: list[tuple[_BatchNorm, Tensor]] = []

    def note(self, module: Any, inputs: tuple[Any, ...]) -> None:
        self._seen.append((module, inputs[0]))

    def take(self, *, of_samples: bool = False) -> Statistics:
        """Return activations, running means and running variances, and forget them.

        :param of_samples: for statistics of single samples over space. A layer that is given no
            space has none: its batch then counts as the space of one sample.
        """
        seen, self._seen = self._seen, []
        activations = [_with_space(x) if of_samples else x for _, x in seen]
        means: Any = [module.running_mean for module, _ in seen]
        variances: Any = [module.running_var for module, _ in seen]
        return activations, means, variances


def _with_space(x: Tensor) -> Tensor:
    return x if x[0, 0].numel() > 1 else x.flatten(1).T[None]


def keeping(network: nn.Module) -> list[nn.Module]:
    """Return the BatchNorm layers of ``network`` that keep statistics."""
    found = (module for module in network.modules() if isinstance(module, _BatchNorm))
    return [module for module in found if module.running_mean is not None]


def check_batch_norm(network: nn.Module, method: str) -> None:
    """:raises UserError: if ``network`` keeps no statistics of its training data."""
    if not keeping(network):
        raise UserError(
            f"{method} makes images from the statistics in BatchNorm layers, and "
            f"{type(network).__name__} has none that keeps any: use a network with BatchNorm, such "
            "as small-resnet, or quantize it in training ([quantization])"
        )


@contextmanager
def watching(network: nn.Module) -> Iterator[BatchNormInputs]:
    """Note what the BatchNorm layers of ``network`` are given within the context."""
    inputs = BatchNormInputs()
    handles = [module.register_forward_pre_hook(inputs.note) for module in keeping(network)]
    try:
        yield inputs
    finally:
        for handle in handles:
            handle.remove()


def matched_images(
    start: Tensor,
    loss: Callable[[Tensor], Tensor],
    *,
    iterations: int,
    lr: float,
    patience: int,
) -> Tensor:
    """Change images by Adam until a loss is small.

    :param start: images to start from.
    :param loss: of the images.
    :param iterations: number of steps.
    :param lr: learning rate; a tenth of it whenever the loss has not fallen for ``patience`` steps.
    :returns: the images after the last step.
    """
    images = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([images], lr=lr)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, patience=patience, min_lr=min(lr, LOWEST_RATE)
    )
    for _ in range(iterations):
        value = loss(images)
        step(optimizer, value)
        schedule.step(value.item())
    return images.detach()
