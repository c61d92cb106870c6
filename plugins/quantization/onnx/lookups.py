"""Activation quantizers whose levels are not equidistant, as nodes on float32."""

from __future__ import annotations

import math
from functools import singledispatch

import torch

from cl_strategies.errors import UserError
from cl_strategies.plugins.quantization.functional.additive_powers import apot_levels
from cl_strategies.plugins.quantization.functional.channel_statistics import positive
from cl_strategies.plugins.quantization.onnx.graph import Graph
from cl_strategies.plugins.quantization.quantizers.alignq import AlignQActivation
from cl_strategies.plugins.quantization.quantizers.apot import APoTActivation
from cl_strategies.plugins.quantization.quantizers.base import ActivationQuantizer

_EPSILON = 1e-5  # of torch's batch_norm


@singledispatch
def emit(quantizer: ActivationQuantizer, graph: Graph, x: str) -> str:
    """Add the nodes of one quantizer.

    :raises UserError: if it has no ONNX form.
    """
    raise UserError(
        f"{type(quantizer).__name__} has no ONNX form here: use one of this package's quantizers"
    )


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
    last = 2**quantizer.bits - 1
    x = graph.add("Mul", x, graph.constant(float(last)))
    terms_ = graph.constant(1.0), graph.constant(torch.tensor(0, dtype=torch.uint8))
    x = graph.add("DequantizeLinear", graph.add("QuantizeLinear", x, *terms_), *terms_)
    x = graph.add("Mul", x, graph.constant(2 / last))
    x = graph.add("Sub", x, graph.constant(1.0))
    return graph.add("Mul", x, graph.constant(quantizer.alignment.act_range))


@emit.register
def _apot(quantizer: APoTActivation, graph: Graph, x: str) -> str:
    """Count the midpoints below a value, and look its level up, as there is no grid."""
    levels = apot_levels(quantizer.bits, signed=quantizer.is_signed).float()
    middle = (levels[1:] + levels[:-1]) / 2
    alpha = float(positive(quantizer.alpha))
    unit = graph.add("Div", x, graph.constant(alpha))
    wide = graph.add("Unsqueeze", unit, graph.constant([-1]))
    above = graph.cast(graph.add("Greater", wide, graph.constant(middle)), "INT32")
    index = graph.add("ReduceSum", above, graph.constant([-1]), keepdims=0)
    return graph.add("Gather", graph.constant(levels * alpha), index, axis=0)
