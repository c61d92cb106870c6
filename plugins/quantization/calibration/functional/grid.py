"""The grid that a range of values gives, and the error that it makes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cl_strategies.plugins.quantization.functional.uniform import affine_codes


@dataclass(frozen=True, kw_only=True)
class Codes:
    """The integers of a uniform grid.

    :param first: the first code.
    :param last: the last code.
    :param shifts: whether the code of zero follows the range; else it is 0.
    """

    first: int
    last: int
    shifts: bool = False

    def beside_zero(self, low: float) -> int:
        """Return how many levels there are from zero to the upper end of a range.

        :param low: lower end of the range.
        """
        if not self.shifts:
            return self.last + 1
        levels = self.last - self.first + 1
        return levels if low >= 0 else levels // 2


def grid_over(low: Tensor, high: Tensor, codes: Codes) -> tuple[Tensor, Tensor]:
    """Return step and zero point of the finest grid that covers a range.

    Values are ``(code - zero point) * step``. Where the range is one point, the step is 1.

    :param low: lower ends, at most 0.
    :param high: upper ends, at least 0, of the same shape.
    """
    if codes.shifts:
        step = (high - low) / (codes.last - codes.first)
        step = torch.where(step > 0, step, 1.0)
        return step, codes.first + torch.round(-low / step)
    step = high / codes.last
    if codes.first < 0:
        step = torch.maximum(step, low / codes.first)
    return torch.where(step > 0, step, 1.0), torch.zeros_like(step)


def histogram_error(
    values: Tensor, counts: Tensor, low: Tensor, high: Tensor, codes: Codes
) -> Tensor:
    """Return the mean squared error of rounding to the grid over a range, clipping included.

    :param values: values ``(B,)``, such as the centers of bins.
    :param counts: how often each occurs ``(B,)``.
    :param low: lower ends ``(R,)``.
    :param high: upper ends ``(R,)``.
    :returns: one error for each range ``(R,)``.
    """
    step, zero = (part[:, None] for part in grid_over(low, high, codes))
    x = values[None].expand(len(low), -1)
    rounded = (affine_codes(x, step, zero, codes.first, codes.last) - zero) * step
    return ((rounded - x).square() * counts).sum(1) / counts.sum().clamp_min(1)
