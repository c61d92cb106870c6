"""What the quantizers of activations are given: extremes, and histograms between them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cl_strategies.errors import UserError
from cl_strategies.plugins.quantization.calibration.network import run
from cl_strategies.plugins.quantization.calibration.samples import Batch
from cl_strategies.plugins.quantization.quantizers.base import ActivationQuantizer


@dataclass
class Observed:
    """The values of one activation.

    :ivar low: the smallest value, or 0 if that is smaller.
    :ivar high: the largest value, or 0 if that is larger.
    :ivar counts: histogram, on the CPU in float64.
    """

    low: float = 0.0
    high: float = 0.0
    counts: Tensor | None = None

    def widen(self, x: Tensor) -> None:
        """Take the extremes of ``x``, which must be finite."""
        low, high = (float(end) for end in torch.aminmax(x))
        if not (math.isfinite(low) and math.isfinite(high)):
            raise UserError(
                "within the network a sample to calibrate with becomes NaN or infinite: its "
                "weights have diverged, or the sample is out of proportion"
            )
        self.low, self.high = min(self.low, low), max(self.high, high)

    def count(self, x: Tensor, bins: int, *, magnitudes: bool) -> None:
        """Add the values to the histogram, or their magnitudes to one that begins at 0."""
        low, high = self.low, self.high
        if magnitudes:
            x, low, high = x.abs(), 0.0, max(-low, high)
        if high > low:
            found = torch.histc(x.detach().double().cpu(), bins=bins, min=low, max=high)
            self.counts = found if self.counts is None else self.counts + found


def observe(
    model: nn.Module,
    quantizers: Mapping[str, ActivationQuantizer],
    batches: Sequence[Batch],
    *,
    bins: int,
    magnitudes: bool,
) -> dict[str, Observed]:
    """Return what each quantizer is given; one that is not called is missing.

    Twice through the network: for the extremes, and for the histograms.

    :param bins: of the histograms; 0 for none.
    :param magnitudes: whether they are of magnitudes.
    """
    found: dict[str, Observed] = {}

    def widen(name: str, x: Tensor) -> None:
        if x.numel():
            found.setdefault(name, Observed()).widen(x)

    with _watching(quantizers, widen):
        run(model, batches)
    if bins:

        def count(name: str, x: Tensor) -> None:
            if x.numel():
                found[name].count(x, bins, magnitudes=magnitudes)

        with _watching(quantizers, count):
            run(model, batches)
    return found


@contextmanager
def _watching(
    quantizers: Mapping[str, ActivationQuantizer], told: Callable[[str, Tensor], None]
) -> Iterator[None]:
    def hook(name: str) -> Any:
        return lambda module, inputs: told(name, inputs[0].detach())

    handles = [q.register_forward_pre_hook(hook(name)) for name, q in quantizers.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
