"""Steps of weights whose code 0 is zero, for a tensor or for each of its channels."""

from __future__ import annotations

import torch
from torch import Tensor

from cl_strategies.plugins.quantization.calibration.functional.ranges import CANDIDATES
from cl_strategies.plugins.quantization.functional.channel_statistics import group_dims, reduce
from cl_strategies.plugins.quantization.functional.learned_step import code_range
from cl_strategies.plugins.quantization.functional.uniform import minmax


def minmax_step(w: Tensor, bits: int, *, channel: int | None = None) -> Tensor:
    """Return the smallest step that clips nothing: ``max(max w / Qp, -min w / Qn)``.

    :param w: weights.
    :param bits: bit-width from 2 to 8; the codes are ``-2**(bits - 1) ... 2**(bits - 1) - 1``.
    :param channel: dimension whose slices have a step each; ``None``: one step.
    :returns: in as many dimensions as ``w``; 1 where all weights are zero.

    >>> minmax_step(torch.tensor([-4.0, 0.3]), 2)
    tensor([2.])
    """
    first, last = code_range(bits, signed=True)
    low, high = minmax(w, channel=channel)
    step = torch.maximum(high / last, low / first)
    return torch.where(step > 0, step, 1.0)


def step_errors(w: Tensor, step: Tensor, bits: int, *, channel: int | None = None) -> Tensor:
    """Return the mean squared error of rounding ``w``, for each slice that has a step."""
    first, last = code_range(bits, signed=True)
    rounded = torch.round(w / step).clamp(first, last) * step
    return reduce((rounded - w).square(), group_dims(w, channel), "mean")


def mse_step(w: Tensor, bits: int, *, channel: int | None = None) -> Tensor:
    """Return the step of the smallest squared error, among :data:`CANDIDATES` shares of
    :func:`minmax_step`; of equal ones the largest.

    :param w: weights.
    :param bits: as for :func:`minmax_step`.
    :param channel: likewise.
    """
    whole = minmax_step(w, bits, channel=channel)
    best, smallest = whole, step_errors(w, whole, bits, channel=channel)
    for share in range(CANDIDATES - 1, 0, -1):
        step = whole * (share / CANDIDATES)
        errors = step_errors(w, step, bits, channel=channel)
        best = torch.where(errors < smallest, step, best)
        smallest = torch.minimum(errors, smallest)
    return best
