"""Costs and savings of quantization: SQNR, bits, multiply-accumulates, errors across tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from cl_strategies.errors import UserError
from cl_strategies.plugins.features.modes import evaluating
from cl_strategies.plugins.quantization.conversion.bypassed_layers import check_called
from cl_strategies.plugins.quantization.conversion.layers import (
    constant_weights,
    quantized_layers,
)
from cl_strategies.plugins.quantization.functional.rounding import FULL_PRECISION, continuous
from cl_strategies.plugins.quantization.layers.quantized_layer import QuantizedLayer

_ATTENDED = ("query", "key", "value")


def sqnr(reference: Tensor, quantized: Tensor) -> float:
    """Return the signal to quantization noise in decibels, ``10 log10(sum r^2 / sum (r - q)^2)``.

    :param reference: the values before rounding, any shape.
    :param quantized: after it, same shape.
    :returns: infinite where nothing changed.

    >>> round(sqnr(torch.tensor([3.0, 4.0]), torch.tensor([3.0, 4.5])), 2)
    20.0
    """
    signal = reference.double().square().sum()
    noise = (reference.double() - quantized.double()).square().sum()
    return float("inf") if noise == 0 else float(10 * torch.log10(signal / noise))


def weight_sqnr(model: nn.Module) -> dict[str, float]:
    """Return :func:`sqnr` of each quantized layer's weight.

    The reference is the same weight, scaled, clipped and aligned as the quantizer does, but not
    rounded.
    """
    found = {}
    for name, layer in quantized_layers(model).items():
        with torch.no_grad():
            quantized = layer.quantized_weight()
            with continuous():
                found[name] = sqnr(layer.quantized_weight(), quantized)
    return found


def layer_table(model: nn.Module) -> list[dict[str, Any]]:
    """Return one row for each layer with a weight: its name, type, bits, parameters and their bits.

    :raises UserError: if the network has been seen to use a weight without calling its layer.
    :returns: rows with ``layer``, ``type``, ``weight_bits``, ``input_bits``, ``parameters`` (the
        weight's; 0 for a weight that an earlier row has counted at these bits) and ``bits`` (theirs
        in all); layers that are not quantized have 32 bits.
    """
    check_called(model)
    rows: list[dict[str, Any]] = []
    counted: set[tuple[int, int]] = set()
    for name, module in _weight_layers(model).items():
        weight_bits, input_bits = _bits(module)
        weights = {(id(w), weight_bits): w for w in _weights(module)}
        count = sum(weight.numel() for key, weight in weights.items() if key not in counted)
        counted |= weights.keys()
        row: dict[str, Any] = {"layer": name, "type": type(module).__name__}
        row |= {"weight_bits": weight_bits, "input_bits": input_bits}
        rows.append(row | {"parameters": count, "bits": count * weight_bits})
    return rows


def _weight_layers(model: nn.Module) -> dict[str, nn.Module]:
    kinds = (nn.modules.conv._ConvNd, nn.Linear, nn.MultiheadAttention)
    return {name: module for name, module in model.named_modules() if isinstance(module, kinds)}


def _weights(module: nn.Module) -> list[nn.Parameter]:
    """Return the weights that a layer has itself: of attention, the projections of its inputs."""
    if not isinstance(module, nn.MultiheadAttention):
        return [module.get_parameter("weight")]
    names = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")
    return [weight for name in names if (weight := getattr(module, name)) is not None]


def _bits(module: nn.Module) -> tuple[int, int]:
    if isinstance(module, QuantizedLayer):
        return module.weight_quantizer.bits, module.input_bits
    return FULL_PRECISION, FULL_PRECISION


@torch.no_grad()
def multiply_accumulates(model: nn.Module, *inputs: Any) -> dict[str, int]:
    """Count the multiply-accumulates of each layer with weights, for one sample.

    Of attention, they are those of the projections, not those of the scores.

    :param model: the network, which is evaluated once, so that no statistics change.
    :param inputs: arguments of ``model``, the first a batch ``(N, ...)``.
    :returns: name -> operations; a layer that runs twice counts twice, one that does not, zero.
    """
    layers = _weight_layers(model)
    counts = dict.fromkeys(layers, 0)
    samples = len(inputs[0])

    def count(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, arguments: Any, named: Any, output: Any) -> None:
            if isinstance(module, nn.MultiheadAttention):
                given = [*arguments, *(named[key] for key in _ATTENDED if key in named)][:3]
                counts[name] += sum(x.numel() for x in given) * module.embed_dim // samples
                if not isinstance(module, QuantizedLayer):  # torch's calls no layer for its output
                    counts[f"{name}.out_proj"] += output[0].numel() * module.embed_dim // samples
                return
            weight = module.get_parameter("weight")
            if isinstance(module, nn.modules.conv._ConvTransposeNd):
                values, each = arguments[0].numel(), weight[0].numel()
            else:
                values, each = output.numel(), weight[0].numel()
            counts[name] += values * each // samples

        return hook

    hooks = [
        layer.register_forward_hook(count(name), with_kwargs=True) for name, layer in layers.items()
    ]
    try:
        with evaluating(model):
            model(*inputs)
    finally:
        for handle in hooks:
            handle.remove()
    return counts


def bit_operations(model: nn.Module, *inputs: Any) -> int:
    """Count the bit operations (BOPs) of one sample.

    They are the multiply-accumulates times the bits of the weights times the bits of the inputs.

    Inputs that a scheme quantizes where they are normalized, and sums of such inputs in residual
    networks, count with the bits of the scheme; the first layer's input counts as 32.

    :param inputs: as in :func:`multiply_accumulates`.
    """
    layers = _weight_layers(model)
    total = 0
    for name, count in multiply_accumulates(model, *inputs).items():
        weight_bits, input_bits = _bits(layers[name])
        total += count * weight_bits * input_bits
    return total


def task_errors(
    weight: Tensor, quantized: Tensor, quantized_now: Tensor, gradients: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the two terms that bound the growth of an old task's error.

    They are those of the proof of LifeQuant's Theorem 5.1.

    Intra-task: ``E ||(w_s^q - w_s) * g||_2``; inter-task: ``E ||(w_t^q - w_s^q) * g||_2``.

    :param weight: ``w_s``, after the old task and before rounding.
    :param quantized: ``w_s^q``, of the same shape.
    :param quantized_now: ``w_t^q``, of the same shape.
    :param gradients: gradients ``(N, ...)`` of the loss on each of N samples of the old task, with
        respect to ``w_t^q``.
    :returns: two scalars.
    """

    def mean_norm(change: Tensor) -> Tensor:
        return torch.linalg.vector_norm((change * gradients).flatten(1), dim=1).mean()

    return mean_norm(quantized - weight), mean_norm(quantized_now - quantized)


def snapshot(model: nn.Module) -> dict[str, tuple[Tensor, Tensor]]:
    """Return each quantized layer's weight before and after rounding, for :func:`layer_errors`."""
    found = {}
    with torch.no_grad():
        for name, layer in quantized_layers(model).items():
            with continuous():
                weight = layer.quantized_weight().clone()
            found[name] = weight, layer.quantized_weight().clone()
    return found


def layer_errors(
    model: nn.Module,
    old: Mapping[str, tuple[Tensor, Tensor]],
    samples: Iterable[tuple[Tensor, Tensor]],
    *,
    loss: Callable[[Tensor, Tensor], Tensor] = nn.functional.cross_entropy,
) -> dict[str, tuple[float, float]]:
    """Return :func:`task_errors` of each quantized layer.

    :param model: as it is now, with one head; evaluated, not changed.
    :param old: :func:`snapshot` after the old task.
    :param samples: samples of the old task: ``x`` without a batch dimension, and its label.
    :param loss: loss of logits ``(1, C)`` and labels ``(1,)``.
    :returns: name -> (intra-task error, inter-task error).
    :raises UserError: if there is no sample, or the layers are others.
    """
    gradients: dict[str, list[Tensor]] = {name: [] for name in old}
    with evaluating(model), constant_weights(model) as now:
        names = {key.removesuffix("weight").rstrip("."): leaf for key, leaf in now.items()}
        if set(names) != set(old):
            raise UserError("the snapshot is of a model with other quantized layers")
        for x, y in samples:
            value = loss(model(x[None]), torch.as_tensor(y, device=x.device).reshape(1))
            found = torch.autograd.grad(value, list(names.values()))
            for name, gradient in zip(names, found, strict=True):
                gradients[name].append(gradient)
    if not all(gradients.values()):
        raise UserError("there are no samples: give at least one of the old task")
    errors = {}
    for name, (weight, quantized) in old.items():
        stacked = torch.stack(gradients[name])
        intra, inter = task_errors(weight, quantized, names[name].detach(), stacked)
        errors[name] = float(intra), float(inter)
    return errors
