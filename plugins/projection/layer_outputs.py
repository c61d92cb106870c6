"""Outputs of linear and convolutional layers: the rows of their representation matrices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from cl_strategies.errors import UserError
from cl_strategies.plugins.features.modes import evaluating

#: Images whose outputs are held at once.
_IMAGES = 16


class OutputRepresentation:
    """A representation matrix ``R``, ``(J, n)``, of which columns come one after the other.

    It is kept as ``(J, k)`` with at most ``J`` columns, float64, that has the same left singular
    vectors and the same singular values.
    """

    def __init__(self) -> None:
        self.matrix: Tensor | None = None

    def add(self, outputs: Tensor, bias: Tensor | None) -> None:
        """Append the outputs of a batch.

        :param outputs: ``(..., J)``, or ``(N, J, H, W)`` of a convolution.
        :param bias: ``(J,)``, which is subtracted: it is no part of the weights.
        """
        rows = outputs.transpose(0, 1) if outputs.dim() == 4 else outputs.movedim(-1, 0)
        columns = rows.flatten(1).double()
        if bias is not None:
            columns = columns - bias.double()[:, None]
        if self.matrix is not None:
            columns = torch.cat([self.matrix, columns], dim=1)
        if columns.shape[1] > columns.shape[0]:
            columns = torch.linalg.qr(columns.T, mode="r").R.T
        self.matrix = columns


@torch.no_grad()
def collect_outputs(
    model: nn.Module, layers: Mapping[str, Any], batches: Iterable[Any]
) -> dict[str, Tensor]:
    """Collect what ``layers`` answer to some batches, in evaluation mode.

    :param model: Model to call with each element of ``batches``.
    :param layers: Layers of ``model`` with weights per task, by name.
    :param batches: Tuples of arguments of ``model``.
    :returns: by layer, ``(J, k)``, float64: as :class:`OutputRepresentation` keeps it.
    :raises UserError: if a layer was never called.
    """
    found = {name: OutputRepresentation() for name in layers}

    def listener(name: str) -> Any:
        def listen(layer: Any, inputs: Any, outputs: Tensor) -> None:
            for part in outputs.split(_IMAGES) if outputs.dim() == 4 else (outputs,):
                found[name].add(part, layer.entry().bias)

        return listen

    with evaluating(model), ExitStack() as stack:
        for name, layer in layers.items():
            stack.callback(layer.register_forward_hook(listener(name)).remove)
        for batch in batches:
            model(*batch)
    kept = {name: r.matrix for name, r in found.items() if r.matrix is not None}
    if unused := [name for name in found if name not in kept]:
        raise UserError(
            f"{', '.join(unused)}: not called with any input: remove layers without use"
        )
    return kept
