"""The features of a network during training: what a named module puts out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from torch import Tensor, nn

from cl_strategies.errors import UserError

#: Where the networks of this package and of Avalanche have their features.
USUAL = ("backbone", "features")


def feature_layer(model: nn.Module, name: str) -> nn.Module:
    """Find the module of ``model`` whose output counts as features.

    :param name: one of ``named_modules()``; ``""``: ``backbone`` or ``features``.
    :raises UserError: if there is none.
    """
    named = dict(model.named_modules())
    for candidate in [name] if name else USUAL:
        if candidate in named:
            return named[candidate]
    known = ", ".join(list(named)[1:13])
    wanted = f"module {name!r}" if name else " or ".join(map(repr, USUAL))
    raise UserError(
        f"{type(model).__name__} has no {wanted}: name the module whose output are the features; "
        f"there are: {known}{'...' if len(named) > 13 else ''}"
    )


@contextmanager
def _watched(layer: nn.Module, note: Callable[[Tensor], None]) -> Iterator[None]:
    handle = layer.register_forward_hook(lambda _, inputs, output: note(output))
    try:
        yield
    finally:
        handle.remove()


class _Enough(Exception):
    """The features are there: the head need not run, and may not know this task."""


def features_of(model: nn.Module, name: str, forward: Callable[[nn.Module], Any]) -> Tensor:
    """Compute features ``(N, d)`` of one batch, without running the layers after them.

    :param name: as in :func:`feature_layer`.
    :param forward: calls the model.
    """
    caught: list[Tensor] = []

    def note(output: Tensor) -> None:
        caught.append(output)
        raise _Enough

    with _watched(feature_layer(model, name), note), suppress(_Enough):
        forward(model)
    return caught[0].flatten(1)
