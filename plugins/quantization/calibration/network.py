"""A quantized network while it is calibrated: its layers, its order, what passes through it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from avalanche.models import avalanche_forward
from torch import Tensor, nn

from cl_strategies.plugins.quantization.calibration.samples import Batch
from cl_strategies.plugins.quantization.functional.rounding import FULL_PRECISION
from cl_strategies.plugins.quantization.layers.quantized_layer import QuantizedLayer
from cl_strategies.plugins.quantization.quantizers.base import (
    ActivationQuantizer,
    Quantizer,
)


def named_quantizers(model: nn.Module) -> dict[str, ActivationQuantizer]:
    """Return the quantizers of activations below 32 bits by name."""
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, ActivationQuantizer) and module.bits != FULL_PRECISION
    }


def weight_layers(model: nn.Module) -> dict[str, QuantizedLayer]:
    """Return the layers whose weights have fewer than 32 bits by name."""
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, QuantizedLayer) and module.weight_quantizer.bits != FULL_PRECISION
    }


def output_channel(layer: nn.Module) -> int:
    """Return the dimension of a layer's output that its channels are in."""
    return -1 if isinstance(layer, nn.Linear) else 1


@contextmanager
def at_full_precision(model: nn.Module) -> Iterator[None]:
    """Let every quantizer of ``model`` pass tensors through within the context."""
    widths = [(module, module.bits) for module in model.modules() if isinstance(module, Quantizer)]
    for module, _ in widths:
        module.bits = FULL_PRECISION
    try:
        yield
    finally:
        for module, bits in widths:
            module.bits = bits


@torch.no_grad()
def run(model: nn.Module, batches: Sequence[Batch]) -> None:
    """Let batches pass through the network."""
    weight = next(model.parameters(), torch.empty(0))
    for x, tasks in batches:
        inputs = x.to(weight.device)
        if x.is_floating_point():
            inputs = inputs.to(weight.dtype)
        avalanche_forward(model, inputs, tasks.to(weight.device))


def call_order(
    model: nn.Module, layers: Mapping[str, nn.Module], batches: Sequence[Batch]
) -> list[str]:
    """Return the names of ``layers`` by their first call; those that are not called are missing."""
    called: dict[str, None] = {}

    def note(name: str) -> Any:
        return lambda module, inputs, output: called.setdefault(name)

    with _hooks([layer.register_forward_hook(note(name)) for name, layer in layers.items()]):
        run(model, batches[:1])
    return list(called)


def passing(
    model: nn.Module, layer: nn.Module, batches: Sequence[Batch]
) -> list[tuple[Tensor, Tensor]]:
    """Return input and output of each call of ``layer``."""
    seen: list[tuple[Tensor, Tensor]] = []

    def note(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        seen.append((inputs[0].detach(), output.detach()))

    with _hooks([layer.register_forward_hook(note)]):
        run(model, batches)
    return seen


@contextmanager
def _hooks(handles: list[Any]) -> Iterator[None]:
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
