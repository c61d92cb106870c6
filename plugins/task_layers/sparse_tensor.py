"""Tensors of which only the entries that are not zero are kept."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cl_strategies.plugins.quantization.conversion.packing import pack, unpack


class SparseTensor(nn.Module):
    """A tensor as one bit per entry, whether it is zero, and the values of the others.

    :param tensor: any shape.
    """

    packed: Tensor
    values: Tensor

    def __init__(self, tensor: Tensor) -> None:
        super().__init__()
        self.shape = tensor.shape
        kept = tensor.detach() != 0
        self.register_buffer("packed", pack(kept.to(torch.uint8), 1))
        self.register_buffer("values", tensor.detach()[kept])
        self.eval()

    @classmethod
    def empty(cls, like: Tensor, count: int) -> SparseTensor:
        """Make room for ``count`` values, to be filled from a state.

        :param like: of the shape and the type of the tensor.
        """
        made = cls(torch.zeros_like(like))
        made.values = like.detach().new_zeros(count)
        return made

    @property
    def count(self) -> int:
        """Number of entries that are not zero."""
        return len(self.values)

    def dense(self) -> Tensor:
        """Return the tensor."""
        kept = unpack(self.packed, 1, self.shape).bool()
        return self.values.new_zeros(self.shape).masked_scatter(kept, self.values)
