"""Training and evaluation modes, and what is trained: each module keeps what its owner gave it.

Avalanche puts the whole model in training mode once, at the beginning of ``train()``. From then on
the modes are the user's, who may have put a BatchNorm in evaluation mode from a plugin: nothing
calls ``train()`` or ``eval()`` on a model within an experience but through :func:`evaluating`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put ``model`` in evaluation mode within the context, and restore the mode of each module."""
    with in_mode(model, training=False):
        yield


@contextmanager
def in_mode(model: nn.Module, *, training: bool) -> Iterator[None]:
    """Put ``model`` in one mode within the context, and restore the mode of each module."""
    modes = [(module, module.training) for module in model.modules()]
    model.train(training)
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def take_over(module: nn.Module, source: nn.Module) -> None:
    """Give ``module`` the modes of ``source``, and freeze the parameters that are frozen there.

    :param module: what takes the place of ``source``, such as a copy; what it has under a name
        that ``source`` does not have stays as it is.
    """
    modes = {name: part.training for name, part in source.named_modules()}
    for name, part in module.named_modules():
        part.training = modes.get(name, part.training)
    trained = {name: parameter.requires_grad for name, parameter in source.named_parameters()}
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(trained.get(name, parameter.requires_grad))
