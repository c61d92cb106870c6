"""AdaRound, layer by layer: see
:mod:`cl_strategies.plugins.quantization.calibration.functional.adaptive_rounding`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle, islice

import torch
from torch import Tensor

from cl_strategies.plugins.quantization.calibration.functional.adaptive_rounding import (
    annealed_exponent,
    first_variable,
    rectified_sigmoid,
    rounding_regularizer,
    soft_codes,
)
from cl_strategies.plugins.quantization.calibration.network import output_channel
from cl_strategies.plugins.quantization.calibration.options import CalibrationOptions
from cl_strategies.plugins.quantization.calibration.quantizer_grids import no_grid
from cl_strategies.plugins.quantization.functional.channel_statistics import positive
from cl_strategies.plugins.quantization.functional.learned_step import code_range
from cl_strategies.plugins.quantization.layers.quantized_layer import QuantizedLayer
from cl_strategies.plugins.quantization.quantizers.lsq import LSQWeight

#: Share of the steps before the regularizer joins in.
WARM = 0.2

Pairs = Sequence[tuple[Tensor, Tensor]]
"""Inputs of a layer in the quantized network, and its outputs at full precision."""


@torch.enable_grad()
def round_adaptively(layer: QuantizedLayer, pairs: Pairs, options: CalibrationOptions) -> Tensor:
    """Round the weights of a layer up or down so that its output stays (Eq. 21, with the input of
    the quantized network as in Eq. 25).

    The loss is ``||W x - W~ x~||**2``, summed over output channels and averaged over samples and
    places, and ``rounding_strength`` times the regularizer. The activation function of Eq. 25 is
    left out: a BatchNorm may stand before it. Weights whose nearest code is the chosen one stay as
    they are; others become the value of their code.

    :param layer: a quantized layer in evaluation mode, whose input has its grid already.
    :param pairs: batches.
    :returns: ``h`` as it was learned, before it is cut to 0 or 1 at one half.
    :raises UserError: if the weights are on no grid of fixed steps.
    """
    quantizer = layer.weight_quantizer
    if not isinstance(quantizer, LSQWeight):
        raise no_grid(quantizer)
    w = layer.latent().detach()
    step = positive(quantizer.used_step(w.dtype).detach())
    first, last = code_range(quantizer.bits, signed=True)
    v = first_variable(w, step).requires_grad_()
    optimizer = torch.optim.Adam([v], lr=options.rounding_lr)
    warm = int(WARM * options.iterations)
    for number, (x, y) in enumerate(islice(cycle(pairs), options.iterations)):
        h = rectified_sigmoid(v)
        layer.stand_in = layer.restored(soft_codes(w, step, h, first=first, last=last) * step)
        try:
            error = (layer.forward(x) - y).square()
        finally:
            layer.stand_in = None
        loss = error.sum(output_channel(layer)).mean()
        if number >= warm:
            exponent = annealed_exponent((number - warm) / max(1, options.iterations - 1 - warm))
            loss = loss + options.rounding_strength * rounding_regularizer(h, exponent)
        (v.grad,) = torch.autograd.grad(loss, [v])
        optimizer.step()
    learned = rectified_sigmoid(v.detach())
    chosen = soft_codes(w, step, (learned >= 0.5).to(w.dtype), first=first, last=last)
    nearest = torch.round(w / step).clamp(first, last)
    rounded = layer.unfolded(layer.restored(torch.where(chosen == nearest, w, chosen * step)))
    layer.weight.data.copy_(rounded)
    return learned
