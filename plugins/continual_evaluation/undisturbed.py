"""Evaluating in the midst of training without a trace in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from avalanche.training.plugins import EarlyStoppingPlugin, EvaluationPlugin, LRSchedulerPlugin
from avalanche.training.plugins.clock import Clock
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from cl_strategies.plugins.features.generators import isolated_rng
from cl_strategies.plugins.protocols.training import TrainingStrategy

#: Plugins that take an evaluation for one of the user's.
_LISTENERS = (EvaluationPlugin, Clock, LRSchedulerPlugin, EarlyStoppingPlugin)
_ATTRIBUTES = (
    "adapted_dataset",
    "current_eval_stream",
    "dataloader",
    "experience",
    "is_training",
    "loss",
    "mb_output",
    "mbatch",
    "model",
    "plugins",
    "_criterion",
    "_stop_training",
)


@contextmanager
def undisturbed(strategy: TrainingStrategy) -> Iterator[None]:
    """Give a strategy that is training back as it was: what it holds, the modes of its modules,
    running statistics, gradients, and the global random generators.

    Within the context neither metrics and loggers, the clock, nor schedules that follow an
    evaluation are called. The model's weights are not kept: an evaluation changes none.
    """
    held = {name: getattr(strategy, name) for name in _ATTRIBUTES if hasattr(strategy, name)}
    modes = [(module, module.training) for module in strategy.model.modules()]
    statistics = [(buffer, buffer.clone()) for buffer in _running(strategy.model)]
    gradients = [(p, p.grad) for p in strategy.model.parameters()]
    strategy.plugins = [p for p in strategy.plugins if not isinstance(p, _LISTENERS)]
    try:
        with isolated_rng():
            yield
    finally:
        for name, value in held.items():
            setattr(strategy, name, value)
        for module, mode in modes:
            module.training = mode
        for buffer, value in statistics:
            buffer.data.copy_(value)
        for parameter, gradient in gradients:
            if parameter.grad is not gradient:
                parameter.grad = gradient


def _running(model: nn.Module) -> Iterator[torch.Tensor]:
    for module in model.modules():
        if isinstance(module, _NormBase):
            yield from module.buffers(recurse=False)
