"""Which functions of torch are given the weight of a layer, other than by the layer itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode, resolve_name


class WeightUses(TorchFunctionMode):
    """Notes weights whose values a function computes with, in the order of use.

    :param names: ``id`` of a weight -> name of its layer.
    """

    def __init__(self, names: Mapping[int, str]) -> None:
        super().__init__()
        self.names = names
        self.own: set[int] = set()
        self.found: dict[str, None] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if any(True for _ in _tensors((result,))):  # else a shape, a type or the like
            for value in _tensors((*args, *(kwargs or {}).values())):
                name = self.names.get(id(value))
                if name is not None and id(value) not in self.own and _reads(func, value, args):
                    self.found[name] = None
        return result


def _tensors(values: Any) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


def _reads(func: Any, weight: Tensor, args: Any) -> bool:
    full = resolve_name(func) or getattr(func, "__name__", "")
    name = full.removesuffix(".__get__").rpartition(".")[2]
    if name in ("to", "type_as"):  # x.to(weight) takes the type alone
        return args[0] is weight
    return not (name.startswith("new_") or name.endswith("_like") or name in ("data", "grad"))


class _Running(threading.local):
    uses: WeightUses | None = None
    owner: Any = None


_running = _Running()


def begin(owner: Any, names: Mapping[int, str]) -> None:
    """Take notes from now on, on behalf of ``owner``, unless another one does."""
    if _running.uses is not None:
        if _running.owner is not owner:
            return
        end(owner)  # of a pass that was interrupted
    _running.uses, _running.owner = WeightUses(names), owner
    _running.uses.__enter__()


def end(owner: Any) -> list[str] | None:
    """Stop, and give what was found; ``None`` if ``owner`` had not begun."""
    uses = _running.uses
    if uses is None or _running.owner is not owner:
        return None
    _running.uses = _running.owner = None
    uses.__exit__(None, None, None)
    return list(uses.found)


@contextmanager
def own_weight(weight: Tensor) -> Iterator[None]:
    """Within, the layer itself computes with its weight."""
    uses = _running.uses
    if uses is None or id(weight) in uses.own:
        yield
        return
    uses.own.add(id(weight))
    try:
        yield
    finally:
        uses.own.discard(id(weight))


def can_watch(inputs: tuple[Any, ...]) -> bool:
    """Whether this is a forward pass with values: not a compilation, nor a symbolic trace."""
    symbolic = any(isinstance(value, torch.fx.Proxy) for value in inputs)
    return not (symbolic or torch.compiler.is_compiling() or torch.jit.is_tracing())
