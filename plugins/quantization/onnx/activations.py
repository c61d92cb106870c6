"""Activation quantizers as pairs of QuantizeLinear and DequantizeLinear."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import singledispatch

import torch
from torch import Tensor

from cl_strategies.errors import UserError
from cl_strategies.plugins.quantization.functional.additive_powers import apot_levels
from cl_strategies.plugins.quantization.functional.channel_statistics import positive
from cl_strategies.plugins.quantization.functional.learned_step import code_range
from cl_strategies.plugins.quantization.functional.rounding import FULL_PRECISION
from cl_strategies.plugins.quantization.functional.uniform import affine_grid
from cl_strategies.plugins.quantization.onnx.graph import Graph
from cl_strategies.plugins.quantization.quantizers.alignq import AlignQActivation
from cl_strategies.plugins.quantization.quantizers.apot import APoTActivation
from cl_strategies.plugins.quantization.quantizers.base import ActivationQuantizer
from cl_strategies.plugins.quantization.quantizers.dorefa import DoReFaActivation
from cl_strategies.plugins.quantization.quantizers.llsq import LLSQActivation, rounded
from cl_strategies.plugins.quantization.quantizers.lsq import LSQActivation
from cl_strategies.plugins.quantization.quantizers.lsq_plus import LSQPlusActivation
from cl_strategies.plugins.quantization.quantizers.pact import PACTActivation
from cl_strategies.plugins.quantization.quantizers.uniform import UniformActivation

_EPSILON = 1e-5  # of torch's batch_norm
Emit = Callable[[Graph, str], str]


def activation(graph: Graph, x: str, quantizer: ActivationQuantizer | None, name: str) -> str:
    """Add the nodes that quantize ``x``; none without a quantizer or at 32 bits.

    :param name: name of the layer, for messages.
    :raises UserError: if the quantizer has seen no data, or has no ONNX form.
    """
    if quantizer is None or quantizer.bits == FULL_PRECISION:
        return x
    if not quantizer.is_ready:
        raise UserError(
            f"the activations of {name} have no range yet: train the model, or run a batch in "
            "training mode, before it is exported"
        )
    with torch.no_grad():
        return emit(quantizer, graph, x)


@singledispatch
def emit(quantizer: ActivationQuantizer, graph: Graph, x: str) -> str:
    """Add the nodes of one quantizer."""
    raise UserError(
        f"{type(quantizer).__name__} has no ONNX form here: use one of this package's quantizers"
    )


def grid(graph: Graph, x: str, *, low: float, scale: float, last: int) -> str:
    """Add the nodes that take the nearest of ``low + scale * (0 ... last)``, clipping the rest.

    Where zero is on the grid, its code is the zero point; else the grid is moved there.
    """
    bounds = graph.constant(low), graph.constant(low + scale * last)
    x = graph.add("Clip", x, *bounds)
    zero = round(-low / scale)
    centered = math.isclose(-low, zero * scale, rel_tol=1e-6, abs_tol=1e-30) and 0 <= zero <= 255
    if not centered:
        x, zero = graph.add("Sub", x, bounds[0]), 0
    terms = graph.constant(scale), graph.constant(torch.tensor(zero, dtype=torch.uint8))
    x = graph.add("DequantizeLinear", graph.add("QuantizeLinear", x, *terms), *terms)
    return x if centered else graph.add("Add", x, bounds[0])


def sign(graph: Graph, x: str, size: float) -> str:
    """Add the nodes of ``size`` where ``x`` is not negative, else ``-size``."""
    above = graph.add("GreaterOrEqual", x, graph.constant(0.0))
    return graph.add("Where", above, graph.constant(size), graph.constant(-size))


def midrise(graph: Graph, unit: str, bits: int, bound: float) -> str:
    """Add the nodes that put values in [0, 1] on ``2**bits`` levels from ``-bound`` to ``bound``.

    Zero is none of the levels. It is the edge between the middle two, and falls on the side where
    it falls in torch because the same operations lead there.
    """
    last = 2**bits - 1
    x = graph.add("Mul", unit, graph.constant(float(last)))
    terms = graph.constant(1.0), graph.constant(torch.tensor(0, dtype=torch.uint8))
    x = graph.add("DequantizeLinear", graph.add("QuantizeLinear", x, *terms), *terms)
    x = graph.add("Mul", x, graph.constant(2 / last))
    return graph.add("Mul", graph.add("Sub", x, graph.constant(1.0)), graph.constant(bound))


def _bounded(graph: Graph, x: str, bits: int, bound: float, signed: bool) -> str:
    if not signed:
        return grid(graph, x, low=0.0, scale=bound / (2**bits - 1), last=2**bits - 1)
    x = graph.add("Div", x, graph.constant(bound))
    x = graph.add("Clip", x, graph.constant(-1.0), graph.constant(1.0))
    half = graph.constant(0.5)
    return midrise(graph, graph.add("Add", graph.add("Mul", x, half), half), bits, bound)


@emit.register
def _uniform(quantizer: UniformActivation, graph: Graph, x: str) -> str:
    symmetric = quantizer.symmetric and quantizer.bits > 1
    low, high = quantizer.low.float(), quantizer.high.float()
    scale, zero, first, last = affine_grid(low, high, quantizer.bits, symmetric=symmetric)
    start = float((first - zero) * scale)
    return grid(graph, x, low=start, scale=float(scale), last=last - first)


@emit.register
def _dorefa(quantizer: DoReFaActivation, graph: Graph, x: str) -> str:
    return _bounded(graph, x, quantizer.bits, 1.0, quantizer.is_signed)


@emit.register
def _pact(quantizer: PACTActivation, graph: Graph, x: str) -> str:
    bound = float(positive(quantizer.alpha))
    return _bounded(graph, x, quantizer.bits, bound, quantizer.is_signed)


@emit.register
def _lsq(quantizer: LSQActivation, graph: Graph, x: str) -> str:
    return _stepped(quantizer, quantizer.step.float(), graph, x)


@emit.register
def _llsq(quantizer: LLSQActivation, graph: Graph, x: str) -> str:
    return _stepped(quantizer, rounded(quantizer.step, torch.float32), graph, x)


@emit.register
def _lsq_plus(quantizer: LSQPlusActivation, graph: Graph, x: str) -> str:
    step = quantizer.step.float()
    if not quantizer.has_offset:
        return _stepped(quantizer, step, graph, x)
    size, last = float(positive(step)), 2**quantizer.bits - 1
    return grid(graph, x, low=-quantizer.zero_point() * size, scale=size, last=last)


def _stepped(quantizer: LSQActivation, step: Tensor, graph: Graph, x: str) -> str:
    size = float(positive(step))
    first, last = code_range(quantizer.bits, signed=quantizer.is_signed)
    if quantizer.is_signed and quantizer.bits == 1:
        return sign(graph, x, size)
    return grid(graph, x, low=first * size, scale=size, last=last - first)


@emit.register
def _alignq(quantizer: AlignQActivation, graph: Graph, x: str) -> str:
    """Add the nodes of ``Phi(x)``, and of its levels from -R to R."""
    if quantizer.alignment.levels != "exact":
        raise UserError(
            "the released levels of AlignQ need two bits more than they are called: export a model "
            "with levels='exact'"
        )
    if quantizer.features is not None:
        ones, zeros = torch.ones(quantizer.features), torch.zeros(quantizer.features)
        terms = ones, zeros, quantizer.mean.float(), quantizer.variance.float()
        x = graph.add("BatchNormalization", x, *map(graph.constant, terms), epsilon=_EPSILON)
    x = graph.add("Erf", graph.add("Mul", x, graph.constant(math.sqrt(0.5))))
    x = graph.add("Mul", graph.add("Add", x, graph.constant(1.0)), graph.constant(0.5))
    return midrise(graph, x, quantizer.bits, quantizer.alignment.act_range)


@emit.register
def _apot(quantizer: APoTActivation, graph: Graph, x: str) -> str:
    """Count the midpoints below a value, and look its level up, as there is no grid."""
    levels = apot_levels(quantizer.bits, signed=quantizer.is_signed).float()
    middle = (levels[1:] + levels[:-1]) / 2
    alpha = float(positive(quantizer.alpha))
    unit = graph.add("Div", x, graph.constant(alpha))
    wide = graph.add("Unsqueeze", unit, graph.constant([-1]))
    above = graph.add("Cast", graph.add("Greater", wide, graph.constant(middle)), to=6)  # INT32
    index = graph.add("ReduceSum", above, graph.constant([-1]), keepdims=0)
    return graph.add("Gather", graph.constant(levels * alpha), index, axis=0)
