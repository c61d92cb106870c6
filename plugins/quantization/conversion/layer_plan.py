"""Which layers of a model are quantized, with how many bits, and what stands around them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.lazy import LazyModuleMixin

from cl_strategies.errors import UserError
from cl_strategies.models.call_order import call_order
from cl_strategies.plugins.quantization.conversion.layers import LAYERS, arranged_shape
from cl_strategies.plugins.quantization.conversion.options import LayerBits
from cl_strategies.plugins.quantization.functional.rounding import FULL_PRECISION
from cl_strategies.plugins.quantization.layers.attention import unsupported
from cl_strategies.plugins.quantization.layers.kinds import NORMS

#: Modules with weights, of which some have a quantized form.
_REFUSED = (
    nn.Bilinear,
    nn.Embedding,
    nn.EmbeddingBag,
    nn.MultiheadAttention,
    nn.RNNBase,
    nn.RNNCellBase,
    _ConvNd,
    nn.Linear,
)

_KINDS: Any = (*_REFUSED, _BatchNorm, LazyModuleMixin)


@dataclass(frozen=True, kw_only=True)
class LayerPlan:
    """A layer to quantize.

    :param name: name of the layer in the model.
    :param layer: the plain layer.
    :param weight_bits: bits of its weights.
    :param activation_bits: bits of its activations.
    :param first: whether it sees the input of the network.
    :param normalized: whether there is a BatchNorm before or after it.
    """

    name: str
    layer: nn.Module
    weight_bits: int
    activation_bits: int
    first: bool
    normalized: bool


def plan_layers(model: nn.Module, bits: LayerBits, example: Tensor | None) -> list[LayerPlan]:
    """Choose the layers to quantize, in the order in which they are called.

    :param bits: bit-widths, and patterns of names to leave alone.
    :param example: a batch, for networks whose code depends on data.
    :raises UserError: if a layer cannot be quantized, none would be, or their order is unknown.
    """
    skip = bits.skip
    heads = _growing_heads(model)
    named = {name: m for name, m in model.named_modules() if isinstance(m, _KINDS)}
    _check_supported(
        {
            name: module
            for name, module in named.items()
            if not (isinstance(module, _BatchNorm) or name in heads or matches(name, skip))
        }
    )
    modules, called = _in_order(model, named, heads, example)
    layers = [(i, n, m) for i, (n, m) in enumerate(modules) if not isinstance(m, _BatchNorm)]
    kept = [
        (index, name, layer)
        for index, name, layer in layers
        if name not in heads and not matches(name, skip)
    ]
    last = None
    called = [name for name in called if not isinstance(named[name], _BatchNorm)]
    if not heads and called and isinstance(named[called[-1]], nn.Linear):
        last = called[-1]
    elif bits.last_bits != FULL_PRECISION and heads:
        raise UserError(
            f"last_bits is {bits.last_bits}, but the classifier ({', '.join(sorted(heads))}) "
            f"grows with the stream: leave last_bits at {FULL_PRECISION}"
        )
    plans = []
    for index, name, layer in kept:
        if name == last and bits.last_bits == FULL_PRECISION:
            continue
        first = name == called[0] if called else name == layers[0][1]
        weight_bits, activation_bits = _bits_of(layer, bits, first=first, last=name == last)
        plans.append(
            LayerPlan(
                name=name,
                layer=layer,
                weight_bits=weight_bits,
                activation_bits=activation_bits,
                first=first,
                normalized=_normalized(modules, index),
            )
        )
    if not plans:
        raise UserError(
            "the model has no layer to quantize: it needs a convolution or a Linear besides its "
            "last layer; set last_bits to quantize that one"
        )
    return plans


def _bits_of(layer: nn.Module, bits: LayerBits, *, first: bool, last: bool) -> tuple[int, int]:
    """Bits of the weights and of the activations of a layer."""
    if last:
        quantized = bits.activation_bits != FULL_PRECISION
        return bits.last_bits, bits.last_bits if quantized else FULL_PRECISION
    own = bits.first_bits if first else bits.depthwise_bits if _depthwise(layer) else None
    return bits.weight_bits if own is None else own, bits.activation_bits


def _in_order(
    model: nn.Module,
    named: Mapping[str, nn.Module],
    heads: set[str],
    example: Tensor | None,
) -> tuple[list[tuple[str, nn.Module]], list[str]]:
    """Return modules by their first call, those that are not called behind them; and all calls.

    :raises UserError: if the order is unknown and matters.
    """
    counted = {id(module) for name, module in named.items() if name not in heads}
    called = call_order(model, lambda module: id(module) in counted, example=example)
    if called is None:
        called = [name for name in named if name not in heads]
        if sum(not isinstance(named[name], _BatchNorm) for name in called) > 1:
            raise UserError(
                f"which layer {type(model).__name__} calls first and which last cannot be told: "
                "its code depends on the values or the shape of its input; give a batch as it "
                "takes it, example=torch.zeros(1, 3, 32, 32) for color images of that size"
            )
    order = dict.fromkeys([*called, *named])
    return [(name, named[name]) for name in order], called


def norms(model: nn.Module, skip: Sequence[str]) -> list[nn.Module]:
    """Return every BatchNorm but those that ``skip`` names.

    :raises UserError: if one cannot have its output quantized.
    """
    found: list[nn.Module] = []
    for name, module in model.named_modules():
        if isinstance(module, _BatchNorm) and not matches(name, skip):
            if type(module) not in NORMS:
                raise UserError(
                    f"the output of {name!r}, a {type(module).__name__}, cannot be quantized: "
                    f"use BatchNorm1d, 2d or 3d, or leave it alone with skip=[{name!r}]"
                )
            found.append(module)
    return found


def _normalized(modules: list[tuple[str, nn.Module]], index: int) -> bool:
    """Return whether a BatchNorm follows the layer, or precedes it as in pre-activation blocks.

    Judged by the order of calls. Where a network branches, a wrong answer costs a scale that a
    BatchNorm absorbs, or a normalization too many.
    """
    layer = modules[index][1]
    after = modules[index + 1][1] if index + 1 < len(modules) else None
    before = modules[index - 1][1] if index else None
    if isinstance(after, _BatchNorm) and after.num_features == arranged_shape(layer)[0]:
        return True
    return (
        isinstance(layer, _ConvNd)
        and isinstance(before, _BatchNorm)
        and before.num_features == layer.in_channels
    )


def _growing_heads(model: nn.Module) -> set[str]:
    """Return names of classifiers that an adaptation to new classes replaces, or will create."""
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
    return isinstance(layer, _ConvNd) and 1 < layer.groups == layer.in_channels


def _check_supported(layers: Mapping[str, nn.Module]) -> None:
    """:raises UserError: with the names of all layers that have no quantized form, and the line
    that leaves them out."""
    refused: dict[str, str] = {}
    for name, layer in layers.items():
        inside = any(name.startswith(f"{outer}.") for outer in refused)
        if not inside and (why := _reason(layer)):
            refused[name] = why
    if refused:
        which = "; ".join(f"the layer {name!r} is a {why}" for name, why in refused.items())
        raise UserError(
            f"{which} and cannot be quantized: only plain convolutions, transposed ones, Linear "
            "and MultiheadAttention can; leave what cannot at full precision with "
            f"skip={list(refused)}"
        )


def _reason(layer: nn.Module) -> str:
    """Return the type of a layer that cannot be quantized, and why; nothing if it can."""
    kind = type(layer).__name__
    if isinstance(layer, LazyModuleMixin) or type(layer) not in LAYERS:
        return kind
    if isinstance(layer, nn.MultiheadAttention):
        why = unsupported(layer)
        return f"{kind} with {why}" if why else ""
    return "" if "weight" in layer._parameters else kind


def check_patterns(model: nn.Module, skip: Sequence[str]) -> None:
    """:raises UserError: for a pattern that matches no module of ``model``."""
    names = [name for name, _ in model.named_modules()]
    for pattern in skip:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise UserError(
                f"skip names {pattern!r}, which matches no module; the model has: "
                f"{', '.join(names[1:13])}{'...' if len(names) > 13 else ''}"
            )


def matches(name: str, skip: Sequence[str]) -> bool:
    """Return whether a pattern matches the module or one that contains it."""
    parts = name.split(".")
    paths = [".".join(parts[: i + 1]) for i in range(len(parts))]
    return any(fnmatchcase(path, pattern) for path in paths for pattern in skip)
