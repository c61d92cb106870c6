"""Ranges, steps, rounding and biases against independent computations in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from cl_strategies.errors import UserError
from cl_strategies.plugins.quantization.calibration.functional import (
    Codes,
    annealed_exponent,
    entropy_bins,
    first_variable,
    grid_over,
    minmax_step,
    mse_range,
    mse_step,
    output_shift,
    percentile_range,
    rectified_sigmoid,
    rounding_regularizer,
    soft_codes,
)

UNSIGNED, SIGNED = Codes(first=0, last=15), Codes(first=-8, last=7)
AFFINE = Codes(first=0, last=15, shifts=True)


def histogram(values: np.ndarray, bins: int, low: float, high: float) -> torch.Tensor:
    return torch.from_numpy(np.histogram(values, bins, (low, high))[0].astype(np.float64))


@pytest.fixture
def values() -> np.ndarray:
    drawn = np.random.default_rng(0).standard_t(3, 4000)
    return np.where(np.random.default_rng(1).random(4000) < 0.3, 0.0, drawn)


@pytest.mark.parametrize("percentile", [99.0, 99.9, 100.0])
def test_percentiles_are_those_of_the_values_up_to_a_bin(values, percentile):
    low, high = values.min(), values.max()
    found = percentile_range(histogram(values, 4096, low, high), low, high, percentile)
    # both ends in the same way: of values and of values mirrored at zero
    lower, upper = (np.percentile(x, percentile, method="inverted_cdf") for x in (-values, values))
    ends = -lower, upper
    np.testing.assert_allclose(found, ends, atol=2 * (high - low) / 4096)


def test_the_whole_range_is_its_own_percentile():
    assert percentile_range(torch.ones(4), -2.0, 2.0, 100.0) == (-2.0, 2.0)
    assert percentile_range(torch.ones(4), 0.0, 2.0, 60.0) == pytest.approx((0.0, 1.2))


def brute_error(x: float, low: float, high: float, codes: Codes) -> float:
    """The squared error of the nearest level, found by looking at all of them."""
    if codes.shifts:
        step = (high - low) / (codes.last - codes.first)
        zero = round(-low / step)
    else:
        step, zero = max(high / codes.last, low / codes.first if codes.first else 0.0), 0
    return min((x - (code - zero) * step) ** 2 for code in range(codes.first, codes.last + 1))


@pytest.mark.parametrize("codes", [UNSIGNED, SIGNED, AFFINE])
def test_the_range_of_least_error_is_that_of_a_search_over_all_levels(values, codes):
    kept = np.abs(values) if codes.first == 0 and not codes.shifts else values
    low, high = min(0.0, kept.min()), kept.max()
    counts = histogram(kept, 96, low, high)
    centers = low + (np.arange(96) + 0.5) * (high - low) / 96
    errors = {}
    for share in range(100, 0, -1):
        ends = share / 100 * low, share / 100 * high
        pairs = zip(counts.tolist(), centers.tolist(), strict=True)
        errors[share] = sum(n * brute_error(x, *ends, codes) for n, x in pairs)
    best = min(errors, key=lambda share: (round(errors[share], 9), -share))
    assert mse_range(counts, low, high, codes) == pytest.approx(
        (best / 100 * low, best / 100 * high)
    )
    assert best < 100


def brute_entropy(bins: list[float], levels: int) -> int:
    """TensorRT's search, bin by bin."""
    bins = [bins[1], *bins[1:]]
    best, smallest = len(bins), math.inf
    for kept in range(len(bins), levels - 1, -1):
        p = [*bins[: kept - 1], bins[kept - 1] + sum(bins[kept:])]
        q, size = [0.0] * kept, kept // levels
        for group in range(levels):
            end = kept if group == levels - 1 else (group + 1) * size
            members = [i for i in range(group * size, end) if bins[i] > 0]
            for i in members:
                q[i] = sum(bins[j] for j in members) / len(members)
        if any(a > 0 and b == 0 for a, b in zip(p, q, strict=True)):
            continue
        total_p, total_q = sum(p), sum(q)
        pairs = [(a / total_p, b / total_q) for a, b in zip(p, q, strict=True) if a > 0]
        divergence = sum(a * math.log(a / b) for a, b in pairs)
        if divergence < smallest - 1e-12:
            best, smallest = kept, divergence
    return best


@pytest.mark.parametrize("levels", [8, 16])
def test_the_clipping_value_of_least_divergence_is_that_of_a_plain_search(values, levels):
    counts = histogram(np.abs(values), 150, 0.0, np.abs(values).max())
    assert entropy_bins(counts, levels) == brute_entropy(counts.tolist(), levels) < 150


def test_all_bins_are_kept_where_nothing_is_lost():
    assert entropy_bins(torch.ones(32), 32) == 32
    assert entropy_bins(torch.zeros(32), 8) == 32
    with pytest.raises(UserError, match="more bins"):
        entropy_bins(torch.ones(8), 16)


def test_a_grid_covers_its_range():
    low, high = torch.tensor([-1.0, 0.0, 0.0]), torch.tensor([3.0, 3.0, 0.0])
    for codes in (AFFINE, SIGNED):
        step, zero = grid_over(low, high, codes)
        ends = (codes.first - zero) * step, (codes.last - zero) * step
        slack = step / 2 if codes.shifts else 1e-6
        assert (ends[0] <= low + slack).all() and (ends[1] >= high - slack).all()
    assert grid_over(low, high, UNSIGNED)[0].tolist() == pytest.approx([0.2, 0.2, 1.0])
    assert [UNSIGNED.beside_zero(0.0), SIGNED.beside_zero(-1.0), AFFINE.beside_zero(-1.0)] == [
        *(16, 8, 8)
    ]


@pytest.mark.parametrize("channel", [None, 0])
def test_steps_of_least_error_are_those_of_a_search_channel_by_channel(channel):
    w = torch.from_numpy(np.random.default_rng(2).standard_t(2, (3, 40)))
    whole, best = minmax_step(w, 4, channel=channel), mse_step(w, 4, channel=channel)
    rows = w.flatten()[None] if channel is None else w
    for row, largest, found in zip(rows, whole.flatten(), best.flatten(), strict=True):
        assert largest == max(row.max() / 7, -row.min() / 8)
        errors = [
            sum(min((x - code * step) ** 2 for code in range(-8, 8)) for x in row.tolist())
            for step in (share / 100 * float(largest) for share in range(1, 101))
        ]
        assert float(found) == pytest.approx((int(np.argmin(errors)) + 1) / 100 * float(largest))


def test_the_equations_of_adaround():
    v = torch.linspace(-6, 6, 25, dtype=torch.float64)
    expected = [min(1, max(0, 1.2 / (1 + math.exp(-x)) - 0.1)) for x in v.tolist()]
    torch.testing.assert_close(rectified_sigmoid(v), torch.tensor(expected, dtype=v.dtype))
    w, step = torch.tensor([-0.95, -0.2, 0.33, 9.0], dtype=v.dtype), torch.tensor(0.25)
    h = rectified_sigmoid(first_variable(w, step))
    torch.testing.assert_close(
        soft_codes(w, step, h, first=-8, last=7) * step, w.clamp(-2.0, 1.75), rtol=0, atol=1e-12
    )
    terms = [1 - abs(2 * x - 1) ** 3 for x in h.tolist()]
    assert float(rounding_regularizer(h, 3)) == pytest.approx(sum(terms))
    assert [annealed_exponent(part) for part in (0, 0.5, 1)] == pytest.approx([20, 11, 2])


def test_the_shift_of_an_output_is_that_of_the_expected_weight_error():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(50, 6, dtype=torch.float64, generator=generator)
    w = torch.randn(4, 6, dtype=torch.float64, generator=generator)
    error = torch.round(w) - w
    shift = output_shift(x @ (w + error).T, x @ w.T, channel=-1)
    torch.testing.assert_close(shift, error @ x.mean(0))
