"""Inputs of linear and convolutional layers: the columns of their representation matrices."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl_strategies.errors import UserError
from cl_strategies.plugins.features.modes import evaluating
from cl_strategies.plugins.projection.functional import extend_basis, extend_basis_from_gram

#: Images whose patches are held at once.
_IMAGES = 8


def input_columns(layer: nn.Linear | nn.Conv2d, x: Tensor) -> Tensor:
    """Return the vectors that the rows of the weights of ``layer`` are multiplied by.

    :param layer: with any stride, padding, dilation and groups. The patches of all groups are
        columns alike: a basis of them serves every group.
    :param x: an input of it, ``(..., I)`` or ``(N, C, H, W)``.
    :returns: ``(d, n)``, with ``d = I`` or ``I kh kw``, in the order of the flattened weights.
    """
    if isinstance(layer, nn.Linear):
        return x.reshape(-1, layer.in_features).T
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    padded = F.pad(x, layer._reversed_padding_repeated_twice, mode=mode)
    patches = F.unfold(padded, layer.kernel_size, dilation=layer.dilation, stride=layer.stride)
    size = layer.weight[0].numel()
    return patches.unflatten(1, (layer.groups, size)).transpose(0, 2).flatten(1)


class Representation:
    """A representation matrix of which blocks of columns come one after the other.

    It is kept as it is while it is narrow, and as ``R R^T`` when it has more columns than rows.
    """

    def __init__(self) -> None:
        self._blocks: list[Tensor] = []
        self._gram: Tensor | None = None

    def add(self, columns: Tensor) -> None:
        """Append columns.

        :param columns: ``(d, n)``.
        """
        self._blocks.append(columns.double())
        if self._gram is not None or sum(b.shape[1] for b in self._blocks) > len(columns):
            for block in self._blocks:
                square = block @ block.T
                self._gram = square if self._gram is None else self._gram + square
            self._blocks = []

    def extend(self, basis: Tensor | None, threshold: float) -> Tensor:
        """Extend a basis by :func:`~cl_strategies.plugins.projection.functional.extend_basis`.

        :param basis: ``None`` for an empty one.
        :raises UserError: if nothing was added: the layer was never called.
        """
        if self._gram is None and not self._blocks:
            raise UserError("a layer was not called with any input: remove layers without use")
        matrix = torch.cat(self._blocks, dim=1) if self._gram is None else self._gram
        basis = matrix.new_zeros(len(matrix), 0) if basis is None else basis
        extend = extend_basis if self._gram is None else extend_basis_from_gram
        return extend(basis, matrix, threshold)


@torch.no_grad()
def collect(
    model: nn.Module, layers: Mapping[str, Any], batches: Iterable[Any]
) -> dict[str, Representation]:
    """Collect the representations of ``layers`` on some batches, in evaluation mode.

    :param model: Model to call with each element of ``batches``.
    :param layers: Linear and Conv2d layers of ``model`` by name.
    :param batches: Tuples of arguments of ``model``.
    """
    found = {name: Representation() for name in layers}
    with evaluating(model), _listening(layers, found):
        for batch in batches:
            model(*batch)
    return found


@contextmanager
def _listening(layers: Mapping[str, Any], found: Mapping[str, Representation]) -> Iterator[None]:
    def listener(name: str) -> Any:
        def listen(layer: Any, inputs: tuple[Tensor, ...]) -> None:
            for part in inputs[0].split(_IMAGES) if isinstance(layer, nn.Conv2d) else inputs[:1]:
                found[name].add(input_columns(layer, part))

        return listen

    handles = [layer.register_forward_pre_hook(listener(name)) for name, layer in layers.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
