"""Refuse quantized layers whose weight a network uses without calling the layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from cl_strategies.errors import UserError
from cl_strategies.plugins.quantization.conversion.layers import quantized_layers
from cl_strategies.plugins.quantization.layers.quantized_layer import QuantizedLayer
from cl_strategies.plugins.quantization.layers.weight_uses import begin, can_watch, end

_CHECKED = "_weights_checked_in"  # modes (training or not) in which a forward pass was watched
_BYPASSED = "_weights_bypassed"  # names of layers


def watch_weights(model: nn.Module) -> None:
    """Check the first forward pass of ``model`` in training, and the first in evaluation.

    A layer that is neither called nor used (a head of another task, an auxiliary classifier) is
    no error: it changes nothing.
    """
    unwatch_weights(model)
    for module in model.modules():  # any of them may come to stand alone, or in another network
        if not isinstance(module, QuantizedLayer) and quantized_layers(module):
            module.register_forward_pre_hook(_begin)
            module.register_forward_hook(_end, always_call=True)


def unwatch_weights(model: nn.Module) -> None:
    """Undo :func:`watch_weights`."""
    for module in model.modules():
        for hooks, hook in ((module._forward_pre_hooks, _begin), (module._forward_hooks, _end)):
            for key in [key for key, value in hooks.items() if value is hook]:
                del hooks[key]
                module._forward_hooks_always_called.pop(key, None)
        for name in (_CHECKED, _BYPASSED):
            vars(module).pop(name, None)


def check_called(model: nn.Module) -> None:
    """:raises UserError: if a forward pass so far has used the weight of a quantized layer without
    calling the layer."""
    for prefix, module in model.named_modules():
        layers = quantized_layers(module) if _BYPASSED in vars(module) else {}
        names = [name for name in vars(module).get(_BYPASSED, ()) if name in layers]
        _refuse([f"{prefix}.{name}" if prefix else name for name in names])


def _refuse(names: Sequence[str]) -> None:
    if not names:
        return
    more = f" (and of {', '.join(names[1:4])}{', ...' * (len(names) > 4)})" * (len(names) > 1)
    raise UserError(
        f"the weight of {names[0]!r}{more} is used without calling the layer, as by "
        "functional.linear(x, layer.weight): the network computes with the full-precision weight, "
        f"not with the quantized one; leave it at full precision with skip={list(names)}, or call "
        "the layer in forward"
    )


def _begin(module: nn.Module, inputs: tuple[Any, ...]) -> None:
    if torch.compiler.is_compiling():
        return
    if module.training not in vars(module).get(_CHECKED, ()) and can_watch(inputs):
        begin(module, _own_weights(module), map(id, module.buffers()))


def _own_weights(model: nn.Module) -> dict[int, str]:
    """Return ``id`` of each quantized layer's weight -> name of the layer.

    Not of weights shared with a module that was left at full precision, as an embedding is with the
    classifier: that one computes with the same parameter in its own right.
    """
    layers = quantized_layers(model)
    plain = {
        id(parameter)
        for module in model.modules()
        if not isinstance(module, QuantizedLayer) and next(module.children(), None) is None
        for parameter in module.parameters(recurse=False)
    }
    names = {id(layer.weight): name for name, layer in layers.items()}
    return {key: name for key, name in names.items() if key not in plain}


def _end(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
    if torch.compiler.is_compiling():
        return
    found = end(module)
    if found is None or output is None:  # another's, or the forward pass has failed
        return
    if found:
        setattr(module, _BYPASSED, tuple(found))
        _refuse(found)
    for inner in module.modules():
        checked: frozenset[bool] = vars(inner).get(_CHECKED, frozenset())
        setattr(inner, _CHECKED, checked | {module.training})
