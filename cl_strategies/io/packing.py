"""Many tensors as one, because each one that a file holds by itself costs time and room.

What a network has for each of hundreds of tasks is small, and written after each of them.
:func:`stacked` makes one tensor of those of a module. :func:`pack` takes small ones out of a nest
of plain data and leaves markers; :func:`unpack` puts them back.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from cl_strategies.errors import UserError

#: Tensors above this stay as they are: packing them would hold them in memory twice.
LARGEST = 2**16
_MARKER = "packed tensor"
_DTYPES = {str(kind): kind for kind in vars(torch).values() if isinstance(kind, torch.dtype)}


def pack(content: Any) -> tuple[Any, Tensor]:
    """Return ``content`` with markers for small tensors, and the bytes of these (uint8)."""
    pieces: list[Tensor] = []
    length = 0  # of all pieces

    def packed(part: Any) -> Any:
        nonlocal length
        if isinstance(part, dict):
            return {key: packed(value) for key, value in part.items()}
        if type(part) in (list, tuple):
            return type(part)([packed(item) for item in part])
        if not (type(part) is Tensor and _is_small(part)):
            return part
        pieces.append(_bytes(part))
        start, length = length, length + len(pieces[-1])
        return {_MARKER: [start, str(part.dtype), *part.shape]}

    return packed(content), _joined(pieces)


def _is_small(tensor: Tensor) -> bool:
    return (
        tensor.layout is torch.strided
        and tensor.device.type == "cpu"
        and not tensor.is_quantized
        and 0 < tensor.nbytes <= min(LARGEST, tensor.untyped_storage().nbytes())
    )


def unpack(content: Any, data: Any, *, most: int, device: str | torch.device = "cpu") -> Any:
    """Return the nest that :func:`pack` was given.

    :param content: its first value, as somebody may have forged it.
    :param data: its second value.
    :param most: parts that the nest may have; one that contains a part twice could have endlessly
        many.
    :param device: where the tensors go.
    :raises ValueError: if they do not belong together, or there are more parts.
    """
    if type(data) is not Tensor or data.dtype != torch.uint8 or data.dim() != 1:
        raise ValueError("it has no packed tensors")
    data = data.cpu()
    parts = taken = 0

    def unpacked(part: Any) -> Any:
        nonlocal parts, taken
        parts += 1
        if parts > most:
            raise ValueError("it has more parts than bytes")
        if isinstance(part, dict):
            if part.keys() != {_MARKER}:
                return {key: unpacked(value) for key, value in part.items()}
            tensor = _piece(data, part[_MARKER])
            taken += tensor.nbytes
            if taken > len(data):
                raise ValueError("its tensors overlap")
            return tensor.to(device)
        if type(part) in (list, tuple):
            return type(part)([unpacked(item) for item in part])
        return part

    return unpacked(content)


def stacked(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return tensors by name as one on the CPU (uint8), and a text with their names, types and
    shapes."""
    layout = [[name, str(value.dtype), *value.shape] for name, value in tensors.items()]
    data = _joined([_bytes(value) for value in tensors.values()])
    return {"layout": json.dumps(layout), "data": data}


def unstacked(node: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the tensors of :func:`stacked`, on the CPU.

    :raises UserError: if the text does not fit the tensor.
    """
    data, start, tensors = node["data"].cpu(), 0, {}
    try:
        for name, *kind_and_shape in json.loads(node["layout"]):
            tensors[name] = _piece(data, [start, *kind_and_shape])
            start += tensors[name].nbytes
    except (TypeError, ValueError) as error:
        raise UserError(f"the state holds tensors that do not fit their layout: {error}") from error
    if start != len(data):
        raise UserError(f"the state holds {len(data)} bytes of tensors, and says {start}")
    return tensors


def _bytes(tensor: Tensor) -> Tensor:
    flat = tensor.detach().reshape(-1).view(torch.uint8)
    return flat if flat.device.type == "cpu" else flat.cpu()


def _joined(pieces: list[Tensor]) -> Tensor:
    return torch.cat([torch.empty(0, dtype=torch.uint8), *pieces])


def _piece(data: Tensor, marker: Any) -> Tensor:
    start, kind, *shape = marker
    numbers = [start, *shape]
    if any(type(number) is not int or number < 0 for number in numbers) or kind not in _DTYPES:
        raise ValueError("it has a packed tensor of no known shape or type")
    size = math.prod(shape) * _DTYPES[kind].itemsize
    if start + size > len(data):
        raise ValueError("a packed tensor is larger than what is stored")
    return data[start : start + size].clone().view(_DTYPES[kind]).reshape(shape)
