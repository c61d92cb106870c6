"""Quantized weights as integers with DequantizeLinear, or as a table of levels."""

from __future__ import annotations

import torch
from torch import Tensor

from cl_strategies.errors import UserError
from cl_strategies.plugins.quantization.functional.additive_powers import apot_levels
from cl_strategies.plugins.quantization.functional.learned_step import code_range
from cl_strategies.plugins.quantization.functional.rounding import FULL_PRECISION
from cl_strategies.plugins.quantization.layers.quantized_layer import QuantizedLayer
from cl_strategies.plugins.quantization.onnx.graph import Graph
from cl_strategies.plugins.quantization.quantizers.apot import APoTWeight
from cl_strategies.plugins.quantization.quantizers.base import Encoded, WeightQuantizer
from cl_strategies.plugins.quantization.quantizers.lsq import LSQWeight
from cl_strategies.plugins.quantization.quantizers.midrise import MidriseWeight
from cl_strategies.plugins.quantization.quantizers.uniform import UniformWeight


def weight(graph: Graph, layer: QuantizedLayer, name: str) -> str:
    """Add the weight that ``layer`` computes with.

    Equidistant levels become one byte per weight and a DequantizeLinear; APoT's become an index
    into the table of levels.

    :param name: name of the layer, for messages.
    :raises UserError: if the levels need more bits than were paid for, the layer was loaded from a
        packed model, or its quantizer is not known here.
    """
    quantizer = layer.weight_quantizer
    if layer.stand_in is not None:
        raise UserError(
            f"{name} was loaded from a packed model, without its full-precision weights: export "
            "the model that was packed"
        )
    if quantizer.bits == FULL_PRECISION:
        return graph.constant(layer.weight.float())
    encoded = layer.encode()
    if isinstance(quantizer, APoTWeight):
        return _from_table(graph, quantizer, encoded)
    codes, scale, offset = equidistant(quantizer, encoded, name)
    size, axis = (scale.flatten(), 0) if scale.numel() > 1 else (scale.reshape(()), 1)
    values = graph.add("DequantizeLinear", graph.constant(codes), graph.constant(size), axis=axis)
    if offset is not None:
        values = graph.add("Add", values, graph.constant(offset))
    alive = layer.folded_weight().alive
    if alive is None or alive.all():
        return values
    return graph.add("Mul", values, graph.constant(alive.view(-1, *[1] * (codes.dim() - 1))))


def equidistant(
    quantizer: WeightQuantizer, encoded: Encoded, name: str
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return integers of one byte, scale and offset: the weights are ``integers * scale + offset``.

    :returns: int8 or uint8 of the weight's shape; scale and offset broadcast to it, and the offset
        is ``None`` where it is zero.
    :raises UserError: for a quantizer that is not known here.
    """
    codes = encoded.codes.int()
    bits = quantizer.bits
    if isinstance(quantizer, LSQWeight):
        step = encoded.constants["step"]
        if bits == 1:
            return (2 * codes - 1).to(torch.int8), step, None
        return (codes + code_range(bits, signed=True)[0]).to(torch.int8), step, None
    if isinstance(quantizer, MidriseWeight | UniformWeight) and bits == 1:
        scale = encoded.constants["scale"]
        if "zero_point" not in encoded.constants:
            bound = quantizer.bound if isinstance(quantizer, MidriseWeight) else 1.0
            return (2 * codes - 1).to(torch.int8), scale * bound, None
    if isinstance(quantizer, MidriseWeight):
        last = 2**bits - 1
        step = encoded.constants["scale"] * (quantizer.bound / last)
        if last <= 127:  # odd integers, as zero is no level
            return (2 * codes - last).to(torch.int8), step, None
        return encoded.codes, 2 * step, -last * step
    if isinstance(quantizer, UniformWeight):
        scale, zero = encoded.constants["scale"], encoded.constants["zero_point"]
        return encoded.codes, scale, -zero * scale
    raise UserError(
        f"{name} is quantized by {type(quantizer).__name__}, which has no ONNX form here: use one "
        "of this package's quantizers, or leave the layer alone with skip"
    )


def _from_table(graph: Graph, quantizer: APoTWeight, encoded: Encoded) -> str:
    levels = apot_levels(quantizer.bits, signed=True).float() * encoded.constants["alpha"]
    if "scale" in encoded.constants:
        levels = levels * encoded.constants["scale"]
    index = graph.add("Cast", graph.constant(encoded.codes), to=6)  # INT32
    return graph.add("Gather", graph.constant(levels.flatten()), index, axis=0)
