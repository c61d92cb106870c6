"""In which order a network calls its layers, which need not be the order of registration."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, fx, nn

from cl_strategies.errors import UserError

#: Whether a module is one of the layers whose order is asked for.
Chosen = Callable[[nn.Module], bool]


def call_order(
    model: nn.Module, chosen: Chosen, *, example: Tensor | None = None
) -> list[str] | None:
    """List the layers in the order in which a forward pass calls them, in evaluation mode.

    The code is followed symbolically, without data. Where that fails, as with branches that depend
    on values or shapes, ``example`` is passed through the network.

    :param model: left as it is.
    :param chosen: which modules count; one inside another does not.
    :param example: a batch ``(N, ...)`` for ``model``.
    :returns: their names, once for each call; ``None`` if the order cannot be known. A module
        without a ``forward`` of its own, as a list, has the order of registration.
    """
    if type(model).forward is nn.Module.forward:
        return [name for name, module in model.named_modules() if chosen(module)]
    with read_only(model):
        names = _traced(model, chosen)
        return _observed(model, chosen, example) if names is None else names


@contextmanager
def read_only(model: nn.Module) -> Iterator[None]:
    """Follow the code of ``model`` in evaluation mode, and leave it as it was: modes, and what the
    code has kept of symbolic values."""
    before = [(module, dict(vars(module))) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, attributes in before:
            vars(module).clear()
            vars(module).update(attributes)


class _OrderTracer(fx.Tracer):
    """Follows no module but those that contain a chosen layer."""

    def __init__(self, chosen: Chosen) -> None:
        super().__init__()
        self.chosen = chosen

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return self.chosen(m) or not any(map(self.chosen, m.modules()))


def _traced(model: nn.Module, chosen: Chosen) -> list[str] | None:
    if chosen(model):
        return [""]
    try:
        graph = _OrderTracer(chosen).trace(model)
    except Exception:  # the code of a network may do anything with a value that is not there
        return None
    modules = dict(model.named_modules())
    names = [str(node.target) for node in graph.nodes if node.op == "call_module"]
    return [name for name in names if chosen(modules[name])]


@torch.no_grad()
def _observed(model: nn.Module, chosen: Chosen, example: Tensor | None) -> list[str] | None:
    if example is None:
        return None
    seen: list[str] = []

    def note(name: str) -> Callable[..., None]:
        return lambda *unused: seen.append(name)

    layers = [(name, module) for name, module in model.named_modules() if chosen(module)]
    handles = [module.register_forward_pre_hook(note(name)) for name, module in layers]
    parameter: Any = next(model.parameters(), example)
    try:
        with torch.random.fork_rng():
            model(example.to(parameter.device))
    finally:
        for handle in handles:
            handle.remove()
    return seen


def last_linear(model: nn.Module) -> str | None:
    """Return the linear layer that a network calls last; ``None`` if there is none, or if a
    convolution comes after it.

    :raises UserError: if there are several and their order cannot be known.
    """
    kinds = (nn.Linear, nn.modules.conv._ConvNd)
    called = call_order(model, lambda module: isinstance(module, kinds))
    if called is None:
        linear = [name for name, m in model.named_modules() if isinstance(m, nn.Linear)]
        if len(linear) > 1:
            raise UserError(
                f"{type(model).__name__} has {len(linear)} linear layers, and its code depends on "
                "the values or the shape of its input, so that it is unknown which one is called "
                "last: give a SingleHeadModel(backbone, head)"
            )
        called = linear
    last = called[-1] if called else None
    return last if last and isinstance(model.get_submodule(last), nn.Linear) else None
