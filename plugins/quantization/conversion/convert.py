"""From a full-precision model to a quantized one, in place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from cl_strategies.errors import UserError
from cl_strategies.plugins.quantization.calibration.calibrate import set_grids
from cl_strategies.plugins.quantization.calibration.options import (
    CalibrationOptions,
    take_calibration,
)
from cl_strategies.plugins.quantization.calibration.quantizer_grids import check_calibrates
from cl_strategies.plugins.quantization.calibration.samples import calibration_batches
from cl_strategies.plugins.quantization.conversion.bypassed_layers import (
    unwatch_weights,
    watch_weights,
)
from cl_strategies.plugins.quantization.conversion.data_flow import DataFlow, data_flow
from cl_strategies.plugins.quantization.conversion.layer_plan import (
    LayerPlan,
    check_patterns,
    matches,
    norms,
    plan_layers,
)
from cl_strategies.plugins.quantization.conversion.layers import (
    arranged_shape,
    is_quantized,
    quantize_layer,
    quantize_norm,
    restore_plain,
    weight_of,
)
from cl_strategies.plugins.quantization.conversion.options import LayerBits
from cl_strategies.plugins.quantization.functional.rounding import FULL_PRECISION
from cl_strategies.plugins.quantization.layers.norm_folding import FOLDED
from cl_strategies.plugins.quantization.quantizers.base import (
    Quantizer,
    SignedActivation,
    WeightQuantizer,
)
from cl_strategies.plugins.quantization.quantizers.scheme import Scheme, scheme
from cl_strategies.validation.hyperparameters import build_part, hyperparameters


@hyperparameters(parts=(LayerBits, CalibrationOptions))
def quantize_model(
    model: nn.Module,
    *,
    quantizer: str | Scheme = "lsq",
    example: Tensor | None = None,
    calibrate: Any = None,
    **options: Any,
) -> nn.Module:
    """Give the layers of ``model`` quantized weights and activations.

    They are convolutions, transposed ones, ``Linear`` and the projections of
    ``MultiheadAttention``. Layers that share a weight share its quantizer.

    The layers keep their names, their parameters and their hooks; ``weight`` stays the trained
    full-precision parameter. The input of the network is not quantized, biases and BatchNorm
    parameters stay at full precision.

    The first layer is the one that a forward pass calls first; the last is the one that it calls
    last, if that is a ``Linear``, and any classifier that grows with the stream. Where activation
    quantizers stand, the scheme says.

    A layer whose weight the network uses without calling the layer, as some attention blocks do,
    would go on computing at full precision: the first forward pass refuses it.

    :param model: any module; changed in place.
    :param quantizer: name of a scheme (``uniform``, ``dorefa``, ``pact``, ``lsq``, ``lsq-plus``,
        ``llsq``, ``apot``, ``alignq``, ``lifequant``), or a scheme with options of its own.
    :param example: a batch ``(N, ...)``, for networks whose code depends on values or shapes, so
        that the order of their layers cannot be read from it.
    :param calibrate: samples from which to set all grids now, without training: a memory of
        exemplars or anything else that
        :func:`~cl_strategies.plugins.quantization.calibration.calibrate.calibrate_model` takes;
        ``None``: grids begin with the first batch in training.
    :returns: ``model``.
    :raises UserError: if there is a layer with weights that cannot be quantized and ``skip`` does
        not name it, if a pattern matches nothing, if the model is quantized already or nothing
        would be, if the order of its layers is unknown, if there is no norm to fold that shall be,
        or for bits out of range.
    """
    made = scheme(quantizer)
    bits: LayerBits = build_part(LayerBits, options)
    calibration = take_calibration(options, asked=calibrate is not None)
    if options:
        raise TypeError(f"quantize_model() has no argument {sorted(options)[0]!r}")
    if calibrate is not None:
        check_calibrates(made, calibration)
    samples = [] if calibrate is None else calibration_batches(calibrate, calibration.samples)
    if samples and example is None:
        example = samples[0][0]
    if any(isinstance(module, Quantizer) for module in model.modules()):
        raise UserError(
            "the model is quantized already: quantize a full-precision model, or call "
            "dequantize_model first, which keeps its weights"
        )
    check_patterns(model, bits.skip)
    plans = plan_layers(model, bits, example)
    layers = [chosen.layer for chosen in plans]
    flow = data_flow(model, layers)
    folded = _folded(model, plans, flow, bits, made) if bits.fold_norms else {}
    signs = flow.input_signs(layers)
    aligned = made.normalized and bits.activation_bits != FULL_PRECISION
    found = norms(model, bits.skip) if aligned else []
    shared: dict[tuple[Any, ...], WeightQuantizer] = {}
    for chosen in plans:
        key = id(chosen.layer)
        _quantize(chosen, made, norm=folded.get(key), signed=signs[key], shared=shared)
    for norm in found:
        quantize_norm(norm, made.activation(bits.activation_bits, features=None))
    model.register_load_state_dict_pre_hook(_check_formats)
    watch_weights(model)
    if samples:
        try:
            set_grids(model, samples, calibration)
        except UserError:
            dequantize_model(model)  # as it was given
            raise
    return model


def dequantize_model(model: nn.Module) -> nn.Module:
    """Undo :func:`quantize_model`; the full-precision weights and hooks stay.

    :returns: ``model``.
    """
    for module in list(model.modules()):
        if is_quantized(module):
            restore_plain(module)
    unwatch_weights(model)
    return model


def _check_formats(model: nn.Module, state: dict[str, Any], prefix: str, *unused: Any) -> None:
    """Before anything is loaded, so that a refused checkpoint changes nothing."""
    for name, module in model.named_modules():
        if isinstance(module, Quantizer):
            module.check_format(state, f"{prefix}{name}.")


def _quantize(
    chosen: LayerPlan,
    made: Scheme,
    *,
    norm: _BatchNorm | None,
    signed: bool | None,
    shared: dict[tuple[Any, ...], WeightQuantizer],
) -> None:
    """Quantize one layer.

    :param norm: the BatchNorm to fold into it, whose scale the quantized weight keeps.
    :param signed: whether its input can be negative, if the code of the network tells.
    :param shared: the quantizers of weights so far: layers of one weight have one quantizer.
    """
    layer, shape = chosen.layer, arranged_shape(chosen.layer)
    rescale = norm is not None or not chosen.normalized
    inputs = outputs = None
    if chosen.activation_bits != FULL_PRECISION:
        if made.normalized and not chosen.normalized:
            # from the end: a linear layer takes sequences, a convolution a single image
            channel = -len(shape) + 1 if isinstance(layer, _ConvNd) else -1
            outputs = made.activation(chosen.activation_bits, features=shape[0], channel=channel)
        elif not made.normalized and not chosen.first:
            inputs = made.activation(chosen.activation_bits, features=None)
            if isinstance(inputs, SignedActivation) and signed is not None:
                inputs.expect(signed)
    input_bits = FULL_PRECISION if chosen.first else chosen.activation_bits
    key = (id(weight_of(layer)), type(layer), chosen.weight_bits, rescale, id(norm))
    if key not in shared:
        shared[key] = made.weight(chosen.weight_bits, shape=shape, rescale=rescale)
    quantize_layer(
        layer, shared[key], inputs=inputs, outputs=outputs, input_bits=input_bits, norm=norm
    )


def _folded(
    model: nn.Module, plans: Sequence[LayerPlan], flow: DataFlow, bits: LayerBits, made: Scheme
) -> dict[int, _BatchNorm]:
    """Return the norms to fold, by ``id`` of their layer.

    :raises UserError: if there is none, or the scheme quantizes what norms give.
    """
    if made.normalized:
        raise UserError(
            f"fold_norms is set, and {made.name} quantizes the outputs of BatchNorm, which must "
            "stay: leave fold_norms out, or take another quantizer"
        )
    layers = {id(p.layer): p.layer for p in plans if p.weight_bits != FULL_PRECISION}
    names = {id(module): name for name, module in model.named_modules()}
    found = {
        key: norm
        for key, norm in flow.norms_behind(list(layers.values())).items()
        if type(norm) in FOLDED
        and norm.running_var is not None
        and norm.num_features == arranged_shape(layers[key])[0]
        and not matches(names[id(norm)], bits.skip)
    }
    if not found:
        why = "no quantized layer has a BatchNorm of its own right behind it"
        if flow.graph is None:
            why = "the code of the network depends on values or shapes and cannot be read for norms"
        raise UserError(f"fold_norms is set, but {why}: leave it out")
    return found
