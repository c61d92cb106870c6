"""Which layers of a network dropout can be put beside, and its rates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from annotated_types import Ge, Lt
from torch import nn
from typing_extensions import Doc

from cl_strategies.errors import UserError

Rate = Annotated[float, Ge(0), Lt(1)]
InputRate = Annotated[
    float, Ge(0), Lt(1), Doc("Rate of dropout of what the network takes in, in training.")
]


def weight_layers(model: nn.Module) -> dict[str, nn.Module]:
    """Return the linear layers and convolutions of ``model`` by name."""
    kinds = (nn.Linear, nn.modules.conv._ConvNd)
    return {name: layer for name, layer in model.named_modules() if isinstance(layer, kinds)}


def called_layers(model: nn.Module, forward: Callable[[], Any]) -> list[str]:
    """Return the names of the :func:`weight_layers` in the order in which ``forward`` calls
    them."""
    called: list[str] = []

    def note(name: str) -> Callable[..., None]:
        return lambda *unused: called.append(name)

    hooks = [x.register_forward_pre_hook(note(name)) for name, x in weight_layers(model).items()]
    try:
        forward()
    finally:
        for hook in hooks:
            hook.remove()
    return called


def refuse_compiled(model: nn.Module) -> None:
    """:raises UserError: if a part of ``model`` is compiled, whose code ignores what is put
    beside its layers."""
    for name, module in model.named_modules():
        if module._compiled_call_impl is not None:
            raise UserError(
                f"{name or type(model).__name__} is compiled, and dropout cannot be put into "
                "compiled code: leave out the CompilePlugin, or use a network with dropout layers"
            )
