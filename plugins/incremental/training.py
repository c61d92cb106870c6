"""Training beside the main loop: of parts of a network, on new data or on exemplars."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from cl_strategies.plugins.data.plugin import ResidentDataPlugin
from cl_strategies.plugins.incremental.rates import first_rate, stage_factor
from cl_strategies.plugins.incremental.strategy import IncrementalStrategy


def shuffled(strategy: IncrementalStrategy, dataset: Any) -> Iterator[tuple[Tensor, Tensor]]:
    """Return one epoch of mini-batches of images and labels, as the strategy reads its data."""
    loader = DataLoader(
        dataset,
        batch_size=strategy.train_mb_size,
        shuffle=True,
        collate_fn=dataset.collate_fn,
    )
    kept, strategy.dataloader = strategy.dataloader, loader
    for plugin in strategy.plugins:
        if isinstance(plugin, ResidentDataPlugin):
            plugin.before_training_epoch(strategy)
    batches, strategy.dataloader = strategy.dataloader, kept
    for x, y, *_ in batches:
        yield x.to(strategy.device), y.to(strategy.device).long()


def train_part(
    strategy: IncrementalStrategy,
    dataset: Any,
    parameters: Iterable[nn.Parameter],
    loss: Callable[[Tensor, Tensor], Tensor],
    *,
    epochs: int,
    schedule: str = "run",
    **options: Any,
) -> None:
    """Train some parameters with the strategy's kind of optimizer; frozen ones stay as they are.

    :param loss: of images and labels.
    :param epochs: how many passes over ``dataset``.
    :param schedule: of the learning rate, as for
        :func:`~cl_strategies.plugins.incremental.rates.stage_factor`.
    :param options: of the optimizer, in place of those that the strategy begins an experience with.
    """
    chosen = [p for p in parameters if p.requires_grad and p.numel()]
    first = {"lr": first_rate(strategy.initial_options)}
    settings = {**strategy.initial_options, **first, **options}
    kind = type(strategy.optimizer)
    optimizer = kind(chosen, **{k: v for k, v in settings.items() if k in kind_options(kind)})
    batches = math.ceil(len(dataset) / strategy.train_mb_size)
    for epoch in range(epochs):
        for batch, (x, y) in enumerate(shuffled(strategy, dataset)):
            factor = stage_factor(strategy, schedule, epoch, epochs, batch / batches)
            for group in optimizer.param_groups:
                group["lr"] = settings["lr"] * factor
            gradients = torch.autograd.grad(loss(x, y), chosen, allow_unused=True)
            for parameter, gradient in zip(chosen, gradients, strict=True):
                parameter.grad = gradient
            optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def kind_options(kind: type[torch.optim.Optimizer]) -> frozenset[str]:
    """Return the names of the options that an optimizer's constructor takes."""
    return frozenset(inspect.signature(kind).parameters)
