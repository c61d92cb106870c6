"""From a full-precision model to a quantised one, in place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from cl_strategies.errors import UserError
from cl_strategies.plugins.quantization.bits import FULL_PRECISION, check_bits
from cl_strategies.plugins.quantization.layers import (
    NORMS,
    QuantizedLayer,
    quantize_layer,
    quantize_norm,
    restore_plain,
)
from cl_strategies.plugins.quantization.plan import Plan, check_patterns, norms, plan
from cl_strategies.plugins.quantization.quantizer import Quantizer
from cl_strategies.plugins.quantization.scheme import Scheme, scheme
from cl_strategies.plugins.quantization.watch import unwatch_weights, watch_weights


def quantize_model(
    model: nn.Module,
    *,
    weight_bits: int = 4,
    activation_bits: int = 4,
    quantizer: str | Scheme = "lsq",
    skip: Sequence[str] = (),
    first_bits: int | None = None,
    last_bits: int = FULL_PRECISION,
    depthwise_bits: int | None = None,
    example: Tensor | None = None,
) -> nn.Module:
    """Give every ``Conv2d`` and ``Linear`` of ``model`` quantised weights and activations.

    The layers keep their names, their parameters and their hooks; ``weight`` stays the trained
    full-precision parameter. The input of the network is not quantised, biases and BatchNorm
    parameters stay at full precision.

    The first layer is the one that a forward pass calls first; the last is the one that it calls
    last, if that is a ``Linear``, and any classifier that grows with the stream. Where activation
    quantisers stand, the scheme says.

    A layer whose weight the network uses without calling the layer, as some attention blocks do,
    would go on computing at full precision: the first forward pass refuses it.

    :param model: any module; changed in place.
    :param weight_bits: 1 to 8, or 32 for full precision.
    :param activation_bits: 1 to 8, or 32 for full precision.
    :param quantizer: name of a scheme (``uniform``, ``dorefa``, ``pact``, ``lsq``, ``llsq``,
        ``apot``, ``alignq``, ``lifequant``), or a scheme with options of its own.
    :param skip: patterns (``"stem.*"``) of names of layers to leave alone.
    :param first_bits: bits of the first layer's weights; ``None``: ``weight_bits``. LSQ's and
        APoT's papers use 8, DoReFa's and PACT's 32.
    :param last_bits: bits of the last layer's weights and input; 32 leaves it alone.
    :param depthwise_bits: bits of the weights of depth-wise convolutions; ``None``:
        ``weight_bits``.
    :param example: a batch ``(N, ...)``, for networks whose code depends on values or shapes, so
        that the order of their layers cannot be read from it.
    :returns: ``model``.
    :raises UserError: if there is a layer with weights that cannot be quantised and ``skip`` does
        not name it, if a pattern matches nothing, if the model is quantised already or nothing
        would be, if the order of its layers is unknown, or for bits out of range.
    """
    made = scheme(quantizer)
    bits = {
        "weight_bits": weight_bits,
        "activation_bits": activation_bits,
        "last_bits": last_bits,
        "first_bits": weight_bits if first_bits is None else first_bits,
        "depthwise_bits": weight_bits if depthwise_bits is None else depthwise_bits,
    }
    for name, value in bits.items():
        check_bits(value, name=name)
    if any(isinstance(module, Quantizer) for module in model.modules()):
        raise UserError(
            "the model is quantised already: quantise a full-precision model, or call "
            "dequantize_model first, which keeps its weights"
        )
    check_patterns(model, skip)
    plans = plan(model, bits, skip, example)
    aligned = norms(model, skip) if made.normalised and activation_bits != FULL_PRECISION else []
    for chosen in plans:
        _quantize(chosen, made)
    for norm in aligned:
        quantize_norm(norm, made.activation(activation_bits, features=None))
    model.register_load_state_dict_pre_hook(_check_formats)
    watch_weights(model)
    return model


def dequantize_model(model: nn.Module) -> nn.Module:
    """Undo :func:`quantize_model`; the full-precision weights and hooks stay.

    :returns: ``model``.
    """
    for module in list(model.modules()):
        if isinstance(module, QuantizedLayer) or type(module) in NORMS.values():
            restore_plain(module)
    unwatch_weights(model)
    return model


def _check_formats(model: nn.Module, state: dict[str, Any], prefix: str, *unused: Any) -> None:
    """Before anything is loaded, so that a refused checkpoint changes nothing."""
    for name, module in model.named_modules():
        if isinstance(module, Quantizer):
            module.check_format(state, f"{prefix}{name}.")


def _quantize(chosen: Plan, made: Scheme) -> None:
    weight = chosen.layer.get_parameter("weight")
    quantizer = made.weight(chosen.weight_bits, shape=weight.shape, rescale=not chosen.normalised)
    inputs = outputs = None
    if chosen.activation_bits != FULL_PRECISION:
        if made.normalised and not chosen.normalised:
            # from the end: a linear layer takes sequences, a convolution a single image
            channel = -1 if isinstance(chosen.layer, nn.Linear) else -3
            outputs = made.activation(
                chosen.activation_bits, features=weight.shape[0], channel=channel
            )
        elif not made.normalised and not chosen.first:
            inputs = made.activation(chosen.activation_bits, features=None)
    input_bits = FULL_PRECISION if chosen.first else chosen.activation_bits
    quantize_layer(chosen.layer, quantizer, inputs=inputs, outputs=outputs, input_bits=input_bits)
