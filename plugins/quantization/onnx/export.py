"""A quantized model as an ONNX file, with QuantizeLinear and DequantizeLinear where it rounds."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from cl_strategies.errors import UserError
from cl_strategies.io.atomic import atomic_write
from cl_strategies.models.heads import MultiHeadModel, SingleHeadModel
from cl_strategies.plugins.quantization.conversion.bypassed_layers import check_called
from cl_strategies.plugins.quantization.conversion.layers import quantized_layers
from cl_strategies.plugins.quantization.onnx.calibration import measured_grids, shared_grids
from cl_strategies.plugins.quantization.onnx.emission import Emission
from cl_strategies.plugins.quantization.onnx.graph import Graph
from cl_strategies.plugins.quantization.onnx.grids import grid_of
from cl_strategies.plugins.quantization.onnx.network import Network
from cl_strategies.plugins.quantization.onnx.rearranging import rearrange
from cl_strategies.plugins.quantization.onnx.tracing import trace


def export_onnx(
    model: nn.Module,
    path: str | Path,
    *,
    input_shape: Sequence[int],
    task: int | None = None,
    calibrate: Tensor | None = None,
) -> Path:
    """Write ``model``, as it computes in evaluation, to ``path``.

    BatchNorm is folded into the layer before it. Weights on equidistant levels are integers in the
    smallest type that holds them (2, 4 or 8 bits), with a DequantizeLinear; APoT's are indices
    into a table of levels. Activations go through QuantizeLinear and DequantizeLinear in eight
    bits, where those of fewer are clipped.

    :param model: quantized or not, made of the layers that
        :mod:`cl_strategies.plugins.quantization.onnx.operations` knows; left as it is.
    :param path: path of the file.
    :param input_shape: shape of one sample, ``(C, H, W)``; the batch may have any size.
    :param task: task label whose head to take, for a model with a head per task; else ``None``.
    :param calibrate: some hundred images ``(N, *input_shape)`` like those of the training. With
        them everything that the model leaves unrounded between its layers (its input, the sums of
        residual blocks) is rounded to eight bits on grids measured on the images, so that a runtime
        computes in integers alone. ``None``: nothing is rounded that the model does not round.
    :returns: ``path``. The input is called ``input``, the output ``logits``.
    :raises UserError: if the package onnx is missing, a layer or quantizer has no ONNX form, a
        quantizer has seen no data yet, or ``calibrate`` does not fit.
    """
    check_called(model)
    graph = Graph()
    # In training and back: a head forgets the classes it was last evaluated on.
    single = copy.deepcopy(_single_head(model, task)).cpu().float().train().eval()
    network = trace(single)
    rearrange(network)
    grids = shared_grids(network)
    whole = False
    if calibrate is not None:
        _check_images(single, calibrate, input_shape)
        if whole := _all_on_grids(network):
            grids |= measured_grids(network, calibrate.cpu().float(), grids)
    with torch.no_grad():
        result = Emission(graph, network, grids, whole=whole).result()
        classes = single(torch.zeros(1, *input_shape)).shape[1]
    made = graph.model("input", result, input_shape, classes)
    with atomic_write(Path(path)) as file:
        file.write(made.SerializeToString())
    return Path(path)


def _check_images(model: nn.Module, images: Tensor, input_shape: Sequence[int]) -> None:
    if not quantized_layers(model):
        raise UserError(
            "calibrate is given, but the model has no quantized layer: quantize it with "
            "quantize_model, or leave calibrate out"
        )
    if not isinstance(images, Tensor):
        raise UserError(f"calibrate is a {type(images).__name__}: give the images as one tensor")
    shape = tuple(images.shape[1:])
    if not len(images) or shape != tuple(input_shape) or not bool(images.isfinite().all()):
        raise UserError(
            f"calibrate holds {len(images)} images of shape {shape}, which must be at least one, "
            f"of the shape {tuple(input_shape)} of input_shape, and finite"
        )


def _all_on_grids(network: Network) -> bool:
    for node in network.of_kind("quantize"):
        if grid_of(node.layer) is None:
            warnings.warn(
                f"the activations of {node.name} are not on equidistant levels "
                f"({type(node.layer).__name__}): the file computes in float32, slower than the "
                "full-precision network, and calibrate is left out",
                stacklevel=3,
            )
            return False
    return True


def _single_head(model: nn.Module, task: int | None) -> nn.Module:
    if not isinstance(model, MultiHeadModel):
        if task is not None:
            raise UserError("the model has one head: leave task out")
        return model
    heads = model.head.heads
    if task is None or str(task) not in heads:
        raise UserError(
            f"the model has a head for each of the tasks {sorted(map(int, heads))}, and task is "
            f"{task}: name one of them"
        )
    return SingleHeadModel(model.backbone, heads[str(task)])
