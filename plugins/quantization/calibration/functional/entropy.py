"""The clipping value that loses least information, as TensorRT chooses it."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from cl_strategies.errors import UserError


def entropy_bins(counts: Tensor, levels: int) -> int:
    """Return how many bins of a histogram of magnitudes to keep (Migacz, "8-bit Inference with
    TensorRT", GTC 2017).

    For each number ``i`` of bins from ``levels`` on: the reference distribution P is the first
    ``i`` bins, with all that lies beyond added to the last of them. The candidate Q is the same
    bins without what lies beyond, merged into ``levels`` groups of ``i // levels`` bins (the last
    takes the rest), each group spread evenly over its bins that are not empty. The ``i`` with the
    smallest divergence ``KL(P || Q)`` of both, normalized, is taken, and of equal ones the largest.
    It is infinite where Q is empty and P is not. The first bin counts as the second, as in NVIDIA's
    pytorch-quantization: the zeros in it, half of all values after a ReLU, are exact on any grid.

    :param counts: histogram of magnitudes ``(B,)``, which begins at zero.
    :param levels: number of levels from zero up: 128 for signed codes of 8 bits.
    :returns: a number of bins; the clipping value is its upper edge.
    :raises UserError: if there are fewer bins than levels.
    """
    bins = counts.double().cpu().numpy()
    if len(bins) < levels:
        raise UserError(
            f"a histogram of {len(bins)} bins cannot be merged into {levels} levels: give more bins"
        )
    bins[0] = bins[1]
    if not bins.any():
        return len(bins)
    filled = bins > 0
    best, smallest = len(bins), np.inf
    beyond = bins.sum() - bins.cumsum()
    for kept in range(len(bins), levels - 1, -1):
        if kept < len(bins) and beyond[kept - 1] > 0 and not filled[kept - 1]:
            continue  # infinite
        divergence = _divergence(bins[:kept], filled[:kept], beyond[kept - 1], levels)
        if divergence < smallest:
            best, smallest = kept, divergence
    return best


def _divergence(bins: np.ndarray, filled: np.ndarray, beyond: float, levels: int) -> float:
    reference = bins.copy()
    reference[-1] += beyond
    starts = np.arange(levels) * (len(bins) // levels)
    sums = np.add.reduceat(bins, starts)
    sizes = np.add.reduceat(filled.astype(np.float64), starts)
    each = np.divide(sums, sizes, out=np.zeros_like(sums), where=sizes > 0)
    candidate = np.repeat(each, np.diff([*starts, len(bins)]))[filled]
    if not len(candidate):
        return np.inf
    p, q = reference[filled] / reference.sum(), candidate / candidate.sum()
    return float((p * np.log(p / q)).sum())
