"""Where the resolution of a backbone changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from cl_strategies.plugins.features.extraction import calls
from cl_strategies.plugins.features.modes import evaluating


def stage_names(backbone: nn.Module, x: Tensor) -> list[str]:
    """Find the modules that give the last feature maps of each resolution.

    :param backbone: from images to features.
    :param x: some images.
    :returns: names, first to last; none for a network without feature maps.
    """
    return stages_called(backbone, lambda: backbone(x))


def stages_called(network: nn.Module, run: Callable[[], Any]) -> list[str]:
    """Find what :func:`stage_names` finds, in a network that is called with more than images.

    :param run: calls the network on some images.
    """
    with torch.no_grad(), evaluating(network):
        seen = calls(network, run)
    name_of = {id(module): name for name, module in network.named_modules()}
    last: dict[tuple[int, ...], str] = {}
    for module, _, output in seen:
        if isinstance(output, Tensor) and output.ndim == 4 and output[0, 0].numel() > 1:
            last[tuple(output.shape[2:])] = name_of[id(module)]
    return [name for name in last.values() if name]


@contextmanager
def recording(modules: Sequence[nn.Module]) -> Iterator[list[Tensor]]:
    """Append the outputs of ``modules`` to the list within the context, as they come."""
    maps: list[Tensor] = []
    handles = [
        module.register_forward_hook(lambda _, __, output: maps.append(output))
        for module in modules
    ]
    try:
        yield maps
    finally:
        for handle in handles:
            handle.remove()
