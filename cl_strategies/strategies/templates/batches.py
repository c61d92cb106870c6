"""Mini-batches whose samples may hold more than an input, a label and a task label."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def moved(part: Any, device: torch.device) -> Any:
    """Move one element of a mini-batch to ``device``; names and the like stay what they are.

    :param part: what PyTorch's ``default_collate`` makes: a tensor, or a mapping or sequence of
        such, or anything else.
    """
    if isinstance(part, Tensor):
        return part.to(device, non_blocking=True)
    if isinstance(part, Mapping):
        return {name: moved(value, device) for name, value in part.items()}
    if isinstance(part, list | tuple):
        return [moved(value, device) for value in part]
    return part


def joined(first: Any, second: Any) -> Any:
    """Join an element of two mini-batches, ``first`` before ``second``."""
    if isinstance(first, Tensor):
        return torch.cat([first, second])
    if isinstance(first, Mapping):
        return {name: joined(value, second[name]) for name, value in first.items()}
    if isinstance(first, list | tuple):
        if first and isinstance(first[0], str | bytes):
            return [*first, *second]
        return [joined(*pair) for pair in zip(first, second, strict=True)]
    return first
