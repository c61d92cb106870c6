"""Quantized weights as integers times a scale for each output channel."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from cl_strategies.errors import UserError
from cl_strategies.plugins.quantization.functional.additive_powers import apot_levels
from cl_strategies.plugins.quantization.functional.learned_step import code_range
from cl_strategies.plugins.quantization.functional.rounding import FULL_PRECISION
from cl_strategies.plugins.quantization.onnx.evaluation import folded_weight
from cl_strategies.plugins.quantization.onnx.graph import Graph
from cl_strategies.plugins.quantization.onnx.network import Node
from cl_strategies.plugins.quantization.quantizers.apot import APoTWeight
from cl_strategies.plugins.quantization.quantizers.base import Encoded, WeightQuantizer
from cl_strategies.plugins.quantization.quantizers.lsq import LSQWeight
from cl_strategies.plugins.quantization.quantizers.midrise import MidriseWeight
from cl_strategies.plugins.quantization.quantizers.uniform import UniformWeight

#: Largest integer of a weight, and of the bias that is added to the sum of products.
LARGEST, LARGEST_BIAS = 127, 2**30
#: Largest integer of which two products with a byte fit 16 bits: onnxruntime adds them up there,
#: and clips, where a weight in int8 meets a processor without VNNI.
SAFE = 64
#: Zero point of larger weights. They are in uint8, which it adds up in 32 bits on any processor.
MIDDLE = 128


@dataclass(frozen=True)
class Levels:
    """Weights ``(factor * codes + start) * unit``: integers times a scale per output channel.

    :param codes: uint8, shape of the weight.
    :param factor: int32 ``(channels, 1...)``.
    :param start: int32 ``(channels, 1...)``.
    :param unit: float64 ``(channels, 1...)``, positive.
    :param bits: bits of a code.
    """

    codes: Tensor
    factor: Tensor
    start: Tensor
    unit: Tensor
    bits: int

    def integers(self) -> Tensor:
        """Return int32 of the shape of the weight."""
        return self.codes.int() * self.factor + self.start


def levels(node: Node) -> Levels | None:
    """Return the weight of a layer as integers; ``None`` if it is not on equidistant levels.

    :raises UserError: if the levels need more bits than were paid for, or the quantizer is not
        known here.
    """
    quantizer = getattr(node.layer, "weight_quantizer", None)
    if quantizer is None or quantizer.bits == FULL_PRECISION or isinstance(quantizer, APoTWeight):
        return None
    encoded = node.layer.encode()
    factor, start, unit = _equidistant(quantizer, encoded, node.name)
    shape = [len(encoded.codes), *[1] * (encoded.codes.dim() - 1)]
    unit = unit.double().expand(shape) if unit.dim() else unit.double().repeat(shape)
    sign = torch.ones(shape, dtype=torch.int32)
    if node.factor is not None:
        sign = node.factor.sign().int().reshape(shape)
        unit = unit * node.factor.abs().reshape(shape)
    unit = torch.where(unit > 0, unit, 1.0)
    made = Levels(encoded.codes, sign * factor, sign * start, unit, quantizer.bits)
    # Larger integers of a smaller unit, in which biases are more exact.
    finer = max(SAFE // max(int(made.integers().abs().max()), 1), 1)
    return replace(made, factor=made.factor * finer, start=made.start * finer, unit=unit / finer)


def _equidistant(
    quantizer: WeightQuantizer, encoded: Encoded, name: str
) -> tuple[int, Tensor, Tensor]:
    bits, constants = quantizer.bits, encoded.constants
    if isinstance(quantizer, LSQWeight):
        start = -1 if bits == 1 else code_range(bits, signed=True)[0]
        return 1 + (bits == 1), torch.tensor(start), constants["step"]
    if isinstance(quantizer, MidriseWeight):  # odd integers, as zero is no level
        last = 2**bits - 1
        return 2, torch.tensor(-last), constants["scale"] * (quantizer.bound / last)
    if isinstance(quantizer, UniformWeight):
        if bits == 1:
            return 2, torch.tensor(-1), constants["scale"]
        return 1, -constants["zero_point"].int(), constants["scale"]
    raise UserError(
        f"{name} is quantized by {type(quantizer).__name__}, which has no ONNX form here: use one "
        "of this package's quantizers, or leave the layer alone with skip"
    )


def in_bytes(found: Levels, bias: Tensor | None, scale: float) -> tuple[Tensor, Tensor]:
    """Return int8 and a scale per channel, nearest to the weight, exact where 127 steps suffice.

    A channel with larger integers (8 bits on levels without zero, or around another point) is
    rounded once more: to 255 levels up to its own largest weight, or by clipping, whichever is
    nearer. A channel whose bias would not fit 32 bits has its weights rounded to coarser steps.

    :param bias: ``(channels,)``, to be held as integers times ``scale`` times that of the channel.
    :param scale: scale of the layer's input.
    :returns: int8 of the weight's shape, float64 ``(channels, 1...)``.
    """
    whole, unit = found.integers(), found.unit
    flat, shape = whole.flatten(1).double(), unit.shape
    largest = flat.abs().amax(1, keepdim=True)
    coarse = (largest / LARGEST).clamp_min(1.0)
    choices = torch.stack([torch.ones_like(coarse), coarse])
    codes = (flat / choices).round_().clamp_(-LARGEST - 1, LARGEST)
    error = (codes * choices - flat).square().sum(2, keepdim=True)
    step = torch.where(error[0] <= error[1], choices[0], choices[1])
    if bias is not None:
        size = bias.abs().double()[:, None] / (scale * unit.flatten(1))
        step = torch.maximum(step, size / LARGEST_BIAS)
        step = torch.where((largest == 0) & (size > 0), size / 2**20, step)
    codes = (flat / step).round_().clamp_(-LARGEST - 1, LARGEST)
    return codes.to(torch.int8).reshape(whole.shape), unit * step.reshape(shape)


def add_bytes(graph: Graph, found: Levels, codes: Tensor) -> tuple[str, Tensor]:
    """Add weights of one byte: where that is smaller, as their codes in a narrower type.

    A runtime computes the integers from the codes once, when it loads the file.

    :param codes: int8, shape of the weight.
    :returns: the name, and the zero points ``(channels,)``: 0 in int8, where no weight is larger
        than :data:`SAFE`, else :data:`MIDDLE` in uint8.
    """
    width = graph.width(found.bits)
    large = int(codes.int().abs().max()) > SAFE
    dtype, zero = (torch.uint8, MIDDLE) if large else (torch.int8, 0)
    zeros = torch.full((len(codes),), zero, dtype=dtype)
    if width == 8 or not torch.equal(codes.int(), found.integers()):
        return graph.constant((codes.int() + zero).to(dtype)), zeros
    whole = graph.packed(found.codes, width)
    for operation, term in (("Mul", found.factor), ("Add", found.start + zero)):
        one = term.flatten()[:1] if bool((term == term.flatten()[0]).all()) else term
        whole = graph.add(operation, whole, graph.constant(one))
    return graph.cast(whole, "UINT8" if large else "INT8"), zeros


def float_weight(graph: Graph, node: Node) -> str:
    """Add the weight as a layer on float inputs takes it: exact, and as small as may be."""
    quantizer = getattr(node.layer, "weight_quantizer", None)
    if isinstance(quantizer, APoTWeight) and quantizer.bits != FULL_PRECISION:
        return _from_table(graph, quantizer, node)
    found = levels(node)
    if found is None:
        return graph.constant(folded_weight(node).float())
    whole = found.integers()
    scale = graph.constant(found.unit.flatten().float())
    if int(whole.abs().max()) <= LARGEST:
        codes, zeros = add_bytes(graph, found, whole.to(torch.int8))
        return graph.add("DequantizeLinear", codes, scale, graph.constant(zeros), axis=0)
    parts = graph.add("Cast", graph.constant(found.codes), to=1)
    for operation, term in (
        ("Mul", found.factor * found.unit),
        ("Add", found.start * found.unit),
    ):
        parts = graph.add(operation, parts, graph.constant(term.float()))
    return parts


def _from_table(graph: Graph, quantizer: APoTWeight, node: Node) -> str:
    encoded = node.layer.encode()
    table = apot_levels(quantizer.bits, signed=True).float() * encoded.constants["alpha"]
    if "scale" in encoded.constants:
        table = table * encoded.constants["scale"]
    width = graph.width(quantizer.bits)
    index = graph.packed(encoded.codes, width)
    values = graph.add("Gather", graph.constant(table.flatten()), index, axis=0)
    if node.factor is None:
        return values
    factor = node.factor.float().reshape(-1, *[1] * (encoded.codes.dim() - 1))
    return graph.add("Mul", values, graph.constant(factor))
