"""Ranges of activations that clip some values, from a histogram of all of them."""

from __future__ import annotations

import torch
from torch import Tensor

from cl_strategies.plugins.quantization.calibration.functional.grid import Codes, histogram_error

#: Shares of the whole range that are tried.
CANDIDATES = 100


def percentile_range(
    counts: Tensor, low: float, high: float, percentile: float
) -> tuple[float, float]:
    """Return the range between two percentiles, zero included.

    The upper end is the value that ``percentile`` percent of all values do not exceed, the lower
    end the one that as many are not below. Within a bin, values count as spread evenly.

    :param counts: histogram ``(B,)`` from ``low`` to ``high``.
    :param percentile: above 50 and up to 100, which is the whole range.

    >>> percentile_range(torch.tensor([1.0, 1.0, 1.0, 1.0]), 0.0, 8.0, 75.0)
    (0.0, 6.0)
    """
    share = percentile / 100
    upper = _quantile(counts, low, high, share)
    lower = low + high - _quantile(counts.flip(0), low, high, share)
    return min(lower, 0.0) if low < 0 else 0.0, max(upper, 0.0)


def _quantile(counts: Tensor, low: float, high: float, share: float) -> float:
    """Return where the part ``share`` of all counts ends."""
    total = counts.double().cumsum(0)
    wanted = share * float(total[-1])
    place = min(int(torch.searchsorted(total, wanted)), len(counts) - 1)
    before = float(total[place - 1]) if place else 0.0
    inside = (wanted - before) / max(float(counts[place]), 1e-300)
    return low + (high - low) / len(counts) * (place + min(inside, 1.0))


def mse_range(counts: Tensor, low: float, high: float, codes: Codes) -> tuple[float, float]:
    """Return the share of a range whose grid has the smallest squared error.

    Tried are :data:`CANDIDATES` shares up to the whole range, both ends alike; of equal ones the
    largest is taken. Each bin counts as its center.

    :param counts: histogram ``(B,)`` from ``low`` (at most 0) to ``high`` (at least 0).
    :param codes: of the grid.
    """
    width = (high - low) / len(counts)
    centers = low + width * (torch.arange(len(counts), dtype=torch.float64) + 0.5)
    shares = torch.arange(CANDIDATES, 0, -1, dtype=torch.float64) / CANDIDATES
    errors = histogram_error(centers, counts.double(), shares * low, shares * high, codes)
    best = float(shares[errors.argmin()])
    return best * low, best * high
