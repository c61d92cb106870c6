"""Find weights that functions of torch apply to activations without calling their layer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode, resolve_name

Result = TypeVar("Result")


class WeightUses(TorchFunctionMode):
    """Note weights, and what is computed of them, that meet activations.

    Parameters, buffers and numbers are no activations, so that a penalty may be computed, and
    added to a loss, in the forward pass.

    :param names: ``id`` of a weight -> name of its layer.
    :param constants: ``id`` of each buffer.
    """

    def __init__(self, names: Mapping[int, str], constants: Iterable[int] = ()) -> None:
        super().__init__()
        self.names = dict(names)
        self.constants = frozenset(constants)
        self.own: set[int] = set()
        self.found: dict[str, None] = {}
        self._derived: list[Tensor] = []  # kept, so that no other tensor gets their ids

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        given = list(_tensors((*args, *(kwargs or {}).values())))
        used = [v for v in given if id(v) in self.names and id(v) not in self.own]
        used = [value for value in used if _reads(func, value, args)]
        if not used:
            return result
        if any(self._is_activation(value) for value in given):
            self.found |= dict.fromkeys(self.names[id(value)] for value in used)
        else:  # of weights alone, as its transpose, or its norm for a record
            for value in _tensors((result,)):
                self.names.setdefault(id(value), self.names[id(used[0])])
                self._derived.append(value)
        return result

    def _is_activation(self, value: Tensor) -> bool:
        known = id(value) in self.names or id(value) in self.constants
        return not (known or isinstance(value, nn.Parameter) or value.dim() == 0)


def _tensors(values: Any) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


def _reads(func: Any, weight: Tensor, args: Any) -> bool:
    full = resolve_name(func) or getattr(func, "__name__", "")
    name = full.removesuffix(".__get__").rpartition(".")[2]
    if name == "to" or name.endswith("_as"):  # x.to(weight) takes the type alone
        return args[0] is weight
    return not (name.startswith("new_") or name.endswith("_like") or name == "grad")


class _Running(threading.local):
    uses: WeightUses | None = None
    owner: Any = None


_running = _Running()
_watches = 0  # in all threads; a number, which compiled code may read


def begin(owner: Any, names: Mapping[int, str], constants: Iterable[int] = ()) -> None:
    """Watch from now on, on behalf of ``owner``, unless another owner does.

    :param names: as for :class:`WeightUses`.
    :param constants: as for :class:`WeightUses`.
    """
    global _watches
    if _running.uses is not None:
        if _running.owner is not owner:
            return
        end(owner)  # of a pass that was interrupted
    _running.uses, _running.owner = WeightUses(names, constants), owner
    _running.uses.__enter__()
    _watches += 1


def end(owner: Any) -> list[str] | None:
    """Stop watching and return the layers found; ``None`` if ``owner`` had not begun."""
    global _watches
    uses = _running.uses
    if uses is None or _running.owner is not owner:
        return None
    _running.uses = _running.owner = None
    uses.__exit__(None, None, None)
    _watches -= 1
    return list(uses.found)


def owning(weight: Tensor, compute: Callable[[Tensor], Result], x: Tensor) -> Result:
    """Return ``compute(x)``, on behalf of the layer that ``weight`` belongs to."""
    if not _watches or (uses := _running.uses) is None or id(weight) in uses.own:
        return compute(x)
    uses.own.add(id(weight))
    try:
        return compute(x)
    finally:
        uses.own.discard(id(weight))


def can_watch(inputs: tuple[Any, ...]) -> bool:
    """Return whether this is a forward pass with values, not a trace."""
    symbolic = any(isinstance(value, torch.fx.Proxy) for value in inputs)
    return not (symbolic or torch.jit.is_tracing())
