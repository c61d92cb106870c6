"""The range in which a learned step or clipping value leaves a layer alive."""

from __future__ import annotations

import torch
from torch import Tensor

_CLIPPED = 0.5
_COARSE = 1.5


@torch.no_grad()
def bound_(size: Tensor, x: Tensor, *, first: float, last: float) -> None:
    """Bring the magnitude of a learned size back to where ``x`` has levels, in place.

    From below: the largest level is at least half of ``mean|x|``, else most values are clipped and
    get no gradient. From above: the smallest level is at most 1.5 times ``max|x|``,
    else every value is rounded to zero. Where ``x`` is all zeros nothing is known, and the size is
    left as it is; so it is at values that are not finite, for a run that diverges to be told.

    :param size: one size, or one for each slice of ``x``: dimensions of length 1 are reduced.
    :param x: tensor to quantize, not empty.
    :param first: the smallest level that is not zero, as a multiple of the size.
    :param last: the largest level, likewise.
    """
    magnitude = x.detach().abs()
    dims = [d for d in range(x.dim()) if size.dim() <= d or size.shape[d] == 1]
    if dims:
        mean, largest = magnitude.mean(dims, keepdim=True), magnitude.amax(dims, keepdim=True)
    else:
        mean = largest = magnitude
    if not size.dim():
        mean, largest = mean.reshape(()), largest.reshape(())
    bounded = size.abs().clamp(mean * (_CLIPPED / last), largest * (_COARSE / first))
    known = (largest > 0) & torch.isfinite(largest)
    size.copy_(torch.where(known, bounded, size.abs()))
