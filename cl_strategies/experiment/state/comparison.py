"""Where two states differ, in any bit."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def differences(a: Any, b: Any, path: str = "state") -> list[str]:
    """Return the places, such as ``state.model.weights.0.bias``, where ``a`` and ``b`` differ.

    Tensors are compared bit by bit: NaN equals NaN, and 0.0 differs from -0.0.
    """
    if torch.is_tensor(a) and torch.is_tensor(b):
        return [] if _same_bits(a, b) else [path]
    if type(a) is dict and type(b) is dict:
        names = [key for key in {**a, **b} if key not in a or key not in b]
        return [f"{path}.{key}" for key in names] + [
            line for key in a if key in b for line in differences(a[key], b[key], f"{path}.{key}")
        ]
    if type(a) is type(b) and isinstance(a, list | tuple) and len(a) == len(b):
        pairs = enumerate(zip(a, b, strict=True))
        return [line for k, (x, y) in pairs for line in differences(x, y, f"{path}[{k}]")]
    same = type(a) is type(b) and (a == b or (a != a and b != b))
    return [] if same else [path]


def _same_bits(a: Tensor, b: Tensor) -> bool:
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    if torch.equal(a.cpu(), b.cpu()) and not a.is_floating_point() and not a.is_complex():
        return True
    first, second = (x.detach().cpu().contiguous().reshape(-1).view(torch.uint8) for x in (a, b))
    return torch.equal(first, second)
