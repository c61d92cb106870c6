"""From a full-precision model to a quantised one, in place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.lazy import LazyModuleMixin

from cl_strategies.errors import UserError
from cl_strategies.plugins.quantization.bits import FULL_PRECISION, check_bits
from cl_strategies.plugins.quantization.layers import (
    LAYERS,
    NORMS,
    QuantizedLayer,
    quantize_layer,
    quantize_norm,
    restore_plain,
)
from cl_strategies.plugins.quantization.quantizer import Quantizer
from cl_strategies.plugins.quantization.scheme import Scheme, scheme

#: Modules with weights that no quantised form exists for.
_REFUSED = (
    nn.Bilinear,
    nn.Embedding,
    nn.EmbeddingBag,
    nn.MultiheadAttention,
    nn.RNNBase,
    nn.RNNCellBase,
    nn.modules.conv._ConvNd,
    nn.Linear,
)


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """A layer to quantise: its place, bits, and what stands around it."""

    name: str
    layer: nn.Module
    weight_bits: int
    activation_bits: int
    first: bool
    normalised: bool


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
) -> nn.Module:
    """Give every ``Conv2d`` and ``Linear`` of ``model`` quantised weights and activations.

    The layers keep their names, their parameters and their hooks; ``weight`` stays the trained
    full-precision parameter. The input of the network is not quantised, biases and BatchNorm
    parameters stay at full precision.

    The last layer is the last ``Linear`` of the model in the order of registration, and any
    classifier that grows with the stream. Where activation quantisers stand, the scheme says.

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
    :returns: ``model``.
    :raises UserError: if there is a layer with weights that cannot be quantised and ``skip`` does
        not name it, if a pattern matches nothing, if the model is quantised already or nothing
        would be, or for bits out of range.
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
    _check_patterns(model, skip)
    plans = _plan(model, bits, skip)
    norms = _norms(model, skip) if made.normalised and activation_bits != FULL_PRECISION else []
    for plan in plans:
        _quantize(plan, made)
    for norm in norms:
        quantize_norm(norm, made.activation(activation_bits, features=None))
    model.register_load_state_dict_pre_hook(_check_formats)
    return model


def dequantize_model(model: nn.Module) -> nn.Module:
    """Undo :func:`quantize_model`; the full-precision weights and hooks stay.

    :returns: ``model``.
    """
    for module in list(model.modules()):
        if isinstance(module, QuantizedLayer) or type(module) in NORMS.values():
            restore_plain(module)
    return model


def _check_formats(model: nn.Module, state: dict[str, Any], prefix: str, *unused: Any) -> None:
    """Before anything is loaded, so that a refused checkpoint changes nothing."""
    for name, module in model.named_modules():
        if isinstance(module, Quantizer):
            module.check_format(state, f"{prefix}{name}.")


def _norms(model: nn.Module, skip: Sequence[str]) -> list[nn.Module]:
    found = []
    for name, module in model.named_modules():
        if isinstance(module, _BatchNorm) and not _matches(name, skip):
            if type(module) not in NORMS:
                raise UserError(
                    f"the output of {name!r}, a {type(module).__name__}, cannot be quantised: "
                    f"use BatchNorm1d or BatchNorm2d, or leave it alone with skip=[{name!r}]"
                )
            found.append(module)
    return found


def _quantize(plan: _Plan, made: Scheme) -> None:
    weight = plan.layer.get_parameter("weight")
    quantizer = made.weight(plan.weight_bits, shape=weight.shape, rescale=not plan.normalised)
    inputs = outputs = None
    if plan.activation_bits != FULL_PRECISION:
        if made.normalised and not plan.normalised:
            outputs = made.activation(plan.activation_bits, features=weight.shape[0])
        elif not made.normalised and not plan.first:
            inputs = made.activation(plan.activation_bits, features=None)
    input_bits = FULL_PRECISION if plan.first else plan.activation_bits
    quantize_layer(plan.layer, quantizer, inputs=inputs, outputs=outputs, input_bits=input_bits)


def _plan(model: nn.Module, bits: dict[str, int], skip: Sequence[str]) -> list[_Plan]:
    modules = [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, (*_REFUSED, _BatchNorm, LazyModuleMixin))
    ]
    heads = _growing_heads(model)
    layers = [(i, n, m) for i, (n, m) in enumerate(modules) if not isinstance(m, _BatchNorm)]
    kept = [
        (index, name, layer)
        for index, name, layer in layers
        if name not in heads and not _matches(name, skip)
    ]
    for _, name, layer in kept:
        _check_supported(name, layer)
    last = None
    if not heads and layers and isinstance(layers[-1][2], nn.Linear):
        last = layers[-1][1]
    elif bits["last_bits"] != FULL_PRECISION and heads:
        raise UserError(
            f"last_bits is {bits['last_bits']}, but the classifier ({', '.join(sorted(heads))}) "
            f"grows with the stream: leave last_bits at {FULL_PRECISION}"
        )
    plans = []
    for index, name, layer in kept:
        if name == last and bits["last_bits"] == FULL_PRECISION:
            continue
        first = name == layers[0][1]
        edge = bits["last_bits"] if name == last else None
        activation_bits = bits["activation_bits"]
        if edge is not None and activation_bits != FULL_PRECISION:
            activation_bits = edge
        weight_bits = (
            edge
            or bits[
                "first_bits" if first else "depthwise_bits" if _depthwise(layer) else "weight_bits"
            ]
        )
        plans.append(
            _Plan(
                name=name,
                layer=layer,
                weight_bits=weight_bits,
                activation_bits=activation_bits,
                first=first,
                normalised=_normalised(modules, index),
            )
        )
    if not plans:
        raise UserError(
            "the model has no layer to quantise: it needs a Conv2d or Linear besides its last "
            "layer; set last_bits to quantise that one"
        )
    return plans


def _normalised(modules: list[tuple[str, nn.Module]], index: int) -> bool:
    """Whether a BatchNorm follows the layer, or precedes it as in pre-activation blocks.

    Judged by the order of registration, which networks keep to but for rare exceptions; a wrong
    answer costs a scale that a BatchNorm absorbs, or a normalisation too many.
    """
    layer = modules[index][1]
    weight = layer.get_parameter("weight")
    after = modules[index + 1][1] if index + 1 < len(modules) else None
    before = modules[index - 1][1] if index else None
    if isinstance(after, _BatchNorm) and after.num_features == weight.shape[0]:
        return True
    return (
        isinstance(layer, nn.Conv2d)
        and isinstance(before, _BatchNorm)
        and before.num_features == layer.in_channels
    )


def _growing_heads(model: nn.Module) -> set[str]:
    """Names of classifiers that an adaptation to new classes replaces, or will create."""
    heads = set()
    for name, module in model.named_modules():
        if not hasattr(module, "adaptation"):
            continue
        prefix = f"{name}." if name else ""
        if isinstance(getattr(module, "classifier", None), nn.Linear):
            heads.add(f"{prefix}classifier")
        elif name and not any(isinstance(m, _REFUSED) for m in module.modules()):
            heads.add(name)
    return heads


def _depthwise(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Conv2d) and 1 < layer.groups == layer.in_channels


def _check_supported(name: str, layer: nn.Module) -> None:
    plain = type(layer) in LAYERS and "weight" in layer._parameters
    if not plain or isinstance(layer, LazyModuleMixin):
        raise UserError(
            f"the layer {name!r} is a {type(layer).__name__} and cannot be quantised: only plain "
            f"Conv2d and Linear can; leave it at full precision with skip=[{name!r}]"
        )


def _check_patterns(model: nn.Module, skip: Sequence[str]) -> None:
    if isinstance(skip, str):
        raise UserError(f"skip is the text {skip!r}: write a list, [{skip!r}]")
    names = [name for name, _ in model.named_modules()]
    for pattern in skip:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise UserError(
                f"skip names {pattern!r}, which matches no module; the model has: "
                f"{', '.join(names[1:13])}{'...' if len(names) > 13 else ''}"
            )


def _matches(name: str, skip: Sequence[str]) -> bool:
    """Whether a pattern matches the module or one that contains it."""
    parts = name.split(".")
    paths = [".".join(parts[: i + 1]) for i in range(len(parts))]
    return any(fnmatchcase(path, pattern) for path in paths for pattern in skip)
