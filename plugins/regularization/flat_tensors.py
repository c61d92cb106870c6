"""Named tensors laid end to end in one flat tensor, so that a step is few large operations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from cl_strategies.errors import UserError


@dataclass(frozen=True)
class FlatLayout:
    """Where each named parameter stands in a flat tensor.

    :param shapes: name -> shape, in order.
    :param device: device of the flat tensors.
    :param dtype: their type, unless :meth:`zeros` is told another.
    """

    shapes: Mapping[str, torch.Size]
    device: torch.device
    dtype: torch.dtype

    @classmethod
    def of(cls, parameters: Mapping[str, Tensor]) -> FlatLayout:
        """Return the layout of ``parameters``: float64 if one of them is, else float32, so that
        sums over many steps do not drown in the rounding of a half-precision type.

        :raises UserError: if they are on several devices.
        """
        devices = {tensor.device for tensor in parameters.values()}
        if len(devices) > 1:
            raise UserError(
                f"the parameters are on several devices ({', '.join(sorted(map(str, devices)))}): "
                "move the model to one device"
            )
        double = any(tensor.dtype == torch.float64 for tensor in parameters.values())
        return cls(
            shapes={name: tensor.shape for name, tensor in parameters.items()},
            device=devices.pop() if devices else torch.device("cpu"),
            dtype=torch.float64 if double else torch.float32,
        )

    def zeros(self, dtype: torch.dtype | None = None) -> Tensor:
        """Return a flat tensor of zeros."""
        numel = sum(shape.numel() for shape in self.shapes.values())
        return torch.zeros(numel, dtype=dtype or self.dtype, device=self.device)

    def split(self, flat: Tensor) -> dict[str, Tensor]:
        """Views of ``flat``, each of the shape of its parameter."""
        parts = flat.split([shape.numel() for shape in self.shapes.values()])
        return {
            name: part.view(shape)
            for (name, shape), part in zip(self.shapes.items(), parts, strict=True)
        }


def copy_into_corner(target: Tensor, source: Tensor, *, name: str) -> None:
    """Write ``source`` over the part of ``target`` that it had before ``target`` grew.

    :raises UserError: if ``target`` is not at least as large in each dimension.
    """
    if target.dim() != source.dim() or any(
        new < old for new, old in zip(target.shape, source.shape, strict=True)
    ):
        raise UserError(
            f"the parameter {name!r} had the shape {tuple(source.shape)} and now has "
            f"{tuple(target.shape)}: it may only grow; give a different parameter another name"
        )
    target[tuple(slice(length) for length in source.shape)].copy_(source)
