"""Calibration of a quantized network: no labels, no training, modes and statistics as they were."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from cl_strategies.errors import UserError
from cl_strategies.errors.failure import named
from cl_strategies.plugins.features.modes import evaluating
from cl_strategies.plugins.quantization.calibration.functional.bias import output_shift
from cl_strategies.plugins.quantization.calibration.functional.entropy import entropy_bins
from cl_strategies.plugins.quantization.calibration.functional.ranges import (
    mse_range,
    percentile_range,
)
from cl_strategies.plugins.quantization.calibration.network import (
    at_full_precision,
    call_order,
    named_quantizers,
    output_channel,
    passing,
    run,
    weight_layers,
)
from cl_strategies.plugins.quantization.calibration.observer import Observed, observe
from cl_strategies.plugins.quantization.calibration.options import CalibrationOptions
from cl_strategies.plugins.quantization.calibration.quantizer_grids import (
    codes_of,
    take_range,
    take_step,
)
from cl_strategies.plugins.quantization.calibration.rounding import Pairs, round_adaptively
from cl_strategies.plugins.quantization.calibration.samples import Batch, calibration_batches
from cl_strategies.plugins.quantization.functional.rounding import check_bits
from cl_strategies.plugins.quantization.layers.quantized_layer import QuantizedLayer
from cl_strategies.plugins.quantization.quantizers.base import ActivationQuantizer
from cl_strategies.validation.hyperparameters import (
    build_part,
    hyperparameters,
    refuse_unknown,
)


@hyperparameters(parts=(CalibrationOptions,))
def calibrate_model(model: nn.Module, batches: Any, /, **options: Any) -> nn.Module:
    """Set the grids of a quantized network from samples, without labels and without training.

    Ranges of activations are those of the network at full precision; then come the steps of
    weights and, layer by layer in the order of calls, rounding and biases. The modes of all modules
    and the statistics of BatchNorm stay as they are; nothing is drawn from global generators.

    With ``rounding="adaround"`` weights that are not rounded to the nearest code take the value of
    their code; with ``correct_bias`` layers without a bias get one. All other parameters stay.

    :param model: from :func:`~cl_strategies.plugins.quantization.conversion.convert.quantize_model`
        with the quantizer ``lsq``, ``llsq`` or ``uniform``; changed in place.
    :param batches: a memory of exemplars, a plugin with one, a data set, a tensor ``(N, ...)``, or
        batches: see
        :func:`~cl_strategies.plugins.quantization.calibration.samples.calibration_batches`.
    :returns: ``model``.
    :raises UserError: if there is no sample, nothing is quantized, a grid cannot be set, or for an
        option out of its range.
    """
    chosen: CalibrationOptions = build_part(CalibrationOptions, options)
    refuse_unknown(calibrate_model, options)
    return set_grids(model, calibration_batches(batches, chosen.samples), chosen)


def set_grids(model: nn.Module, samples: Sequence[Batch], chosen: CalibrationOptions) -> nn.Module:
    """Do what :func:`calibrate_model` does, with samples that are gathered already.

    :raises UserError: as that.
    """
    check_layers(model, chosen)
    quantizers, layers = named_quantizers(model), weight_layers(model)
    with evaluating(model), torch.no_grad():
        _check_taken(model, samples)
        _set_ranges(model, quantizers, samples, chosen)
        for layer in layers.values():
            take_step(layer.weight_quantizer, layer.latent().detach(), chosen.weight_method)
        if chosen.rounding == "adaround" or chosen.correct_bias:
            plain = copy.deepcopy(model)  # whose weights and biases stay
            with at_full_precision(plain):
                for name in call_order(model, layers, samples):
                    outputs = passing(plain, plain.get_submodule(name), samples)
                    inputs = passing(model, layers[name], samples)
                    pairs = [(x, y) for (x, _), (_, y) in zip(inputs, outputs, strict=True)]
                    _fit_layer(layers[name], pairs, chosen)
    return model


def check_layers(model: nn.Module, options: CalibrationOptions) -> None:
    """Say, before there are samples, what of a quantized model cannot be calibrated so.

    :raises UserError: if nothing is quantized, something to one bit, or the output of a layer
        cannot be fitted.
    """
    quantizers, layers = named_quantizers(model), weight_layers(model)
    if not (quantizers or layers):
        raise UserError("nothing in the model is quantized: call quantize_model first")
    widths = {q.bits for q in quantizers.values()}
    widths |= {layer.weight_quantizer.bits for layer in layers.values()}
    if check_bits(min(widths)) < 2:
        raise UserError(
            "calibration needs at least 2 bits, and the model has tensors of 1 bit: train it "
            "quantized instead"
        )
    _check_fitted(layers, options)


def _check_fitted(layers: dict[str, QuantizedLayer], options: CalibrationOptions) -> None:
    """:raises UserError: if a layer is one whose output cannot be fitted."""
    for name, layer in layers.items():
        attention = isinstance(layer, nn.MultiheadAttention)
        if attention and (options.correct_bias or options.rounding == "adaround"):
            raise UserError(
                f"the projections of the attention {name!r} are not computed one by one: calibrate "
                "without adaround and correct_bias, or leave it at full precision with "
                f"skip=[{name!r}]"
            )
        if layer.folding is not None and options.correct_bias:
            raise UserError(
                "correct_bias and fold_norms change the same biases: leave one of them out"
            )


def _check_taken(model: nn.Module, samples: Sequence[Batch]) -> None:
    """:raises UserError: if the network cannot compute such samples."""
    (x, tasks), *_ = samples
    try:
        run(model, [(x[:1], tasks[:1])])
    except UserError:
        raise
    except Exception as error:  # of the user's network, of any type
        raise UserError(
            f"the network cannot compute samples of the shape {tuple(x.shape[1:])} and the type "
            f"{x.dtype} to calibrate with ({named(error)}): give them as it is trained with them"
        ) from error


def _set_ranges(
    model: nn.Module,
    quantizers: dict[str, ActivationQuantizer],
    samples: Sequence[Batch],
    options: CalibrationOptions,
) -> None:
    with at_full_precision(model):
        found = observe(
            model,
            quantizers,
            samples,
            bins=0 if options.method == "min-max" else options.bins,
            magnitudes=options.method == "entropy",
        )
    for name, seen in found.items():
        take_range(quantizers[name], *_range(quantizers[name], seen, options))


def _range(
    quantizer: ActivationQuantizer, seen: Observed, options: CalibrationOptions
) -> tuple[float, float]:
    codes = codes_of(quantizer, seen.low)
    low, high = seen.low, seen.high
    if codes.first == 0 and not codes.shifts:
        low = 0.0  # which has no negative code
    if seen.counts is None:
        return low, high
    if options.method == "percentile":
        return percentile_range(seen.counts, seen.low, seen.high, options.percentile)
    if options.method == "mse":
        return mse_range(seen.counts, seen.low, seen.high, codes)
    kept = entropy_bins(seen.counts, codes.beside_zero(seen.low))
    bound = max(-seen.low, seen.high) * kept / options.bins
    return max(low, -bound), min(high, bound)


def _fit_layer(layer: QuantizedLayer, pairs: Pairs, options: CalibrationOptions) -> None:
    if options.rounding == "adaround":
        round_adaptively(layer, pairs, options)
    if options.correct_bias:
        _correct_bias(layer, pairs)


def _correct_bias(layer: QuantizedLayer, pairs: Pairs) -> None:
    quantized = torch.cat([layer.forward(x) for x, _ in pairs])
    shift = output_shift(quantized, torch.cat([y for _, y in pairs]), channel=output_channel(layer))
    if layer.bias is None:
        weight = layer.weight
        layer.bias = nn.Parameter(torch.zeros_like(shift), requires_grad=weight.requires_grad)
    layer.bias.data.sub_(shift)
