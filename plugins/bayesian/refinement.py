"""Training a copy of a network with Gaussian weights on a few samples, to predict with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Generator, Tensor

from cl_strategies.plugins.bayesian.gaussian_prior import GaussianPrior
from cl_strategies.plugins.classes.seen_classes import rule_out_unseen
from cl_strategies.plugins.incremental.training import kind_options


def refined(strategy: Any, model: Any, coresets: Sequence[Any]) -> Any:
    """Train Gaussian weights on coresets, with what was learned before as the prior.

    As long as an experience is trained, with the strategy's kind of optimizer. Everything else in
    the network stays as it is, and its modules in evaluation mode. Random numbers are always the
    same, so that what is evaluated depends on the model alone and changes no training.

    :param model: changed in place.
    :returns: ``model``.
    """
    x, y, tasks = _samples(coresets, strategy.device)
    generator, order = (Generator(device).manual_seed(0) for device in (strategy.device, "cpu"))
    model.noise.generator = generator
    layers = list(model.layers.values())
    trained = [tensor for layer in layers for pair in layer.pairs() for tensor in pair]
    trained = [tensor for tensor in trained if tensor.numel()]
    kind, group = type(strategy.optimizer), strategy.optimizer.param_groups[0]
    names = kind_options(kind) - {"params"}
    optimizer = kind(trained, **{name: group[name] for name in names if name in group})
    priors = {layer: GaussianPrior(layer, 1.0, layer.learned) for layer in layers}
    with torch.enable_grad():
        for _ in range(strategy.train_epochs):
            rows = torch.randperm(len(x), generator=order)
            for batch in rows.to(x.device).split(strategy.train_mb_size):
                draws = model.draw(
                    x[batch],
                    tasks[batch],
                    model.train_samples,
                    lambda output, labels: rule_out_unseen(strategy, output, labels),
                )
                losses = [strategy._criterion(draw, y[batch]) for draw in draws]
                divergence = [priors[layer].divergence(layer) for layer in model.noise.called]
                loss = torch.stack(losses).mean() + torch.stack(divergence).sum() / len(x)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    optimizer.zero_grad()
    model.noise.generator = None
    return model


def _samples(coresets: Sequence[Any], device: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Return inputs, labels and task labels, 0 where samples have none."""
    samples = [sample for data in coresets for sample in data]
    x = torch.stack([torch.as_tensor(sample[0]) for sample in samples])
    y = torch.tensor([int(sample[1]) for sample in samples])
    tasks = torch.tensor([int(sample[-1]) if len(sample) > 2 else 0 for sample in samples])
    return x.to(device), y.to(device), tasks.to(device)
