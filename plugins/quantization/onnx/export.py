"""A quantized model as an ONNX file, with QuantizeLinear and DequantizeLinear where it rounds."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import fx, nn

from cl_strategies.errors import UserError
from cl_strategies.io.atomic import atomic_write
from cl_strategies.models.heads import MultiHeadModel, SingleHeadModel
from cl_strategies.plugins.quantization.conversion.bypassed_layers import check_called
from cl_strategies.plugins.quantization.onnx.graph import Graph
from cl_strategies.plugins.quantization.onnx.layers import FUNCTIONS, METHODS, UNITS, module


def export_onnx(
    model: nn.Module, path: str | Path, *, input_shape: Sequence[int], task: int | None = None
) -> Path:
    """Write ``model``, as it computes in evaluation, to ``path``.

    Weights on equidistant levels are one byte each, with a DequantizeLinear; APoT's are indices
    into a table of levels. Activations are clipped and go through QuantizeLinear and
    DequantizeLinear. A code of k bits is held in eight.

    :param model: quantized or not, made of the layers that
        :mod:`cl_strategies.plugins.quantization.onnx.layers` knows; left as it is.
    :param path: path of the file.
    :param input_shape: shape of one sample, ``(C, H, W)``; the batch may have any size.
    :param task: task label whose head to take, for a model with a head per task; else ``None``.
    :returns: ``path``. The input is called ``input``, the output ``logits``.
    :raises UserError: if the package onnx is missing, a layer or quantizer has no ONNX form, or a
        quantizer has seen no data yet.
    """
    check_called(model)
    graph = Graph()
    # In training and back: a head forgets the classes it was last evaluated on.
    single = copy.deepcopy(_single_head(model, task)).cpu().float().train().eval()
    result = _emit(graph, nn.Sequential(single))
    with torch.no_grad():
        classes = single(torch.zeros(1, *input_shape)).shape[1]
    made = graph.model("input", result, input_shape, classes)
    with atomic_write(Path(path)) as file:
        file.write(made.SerializeToString())
    return Path(path)


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


class _ExportTracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, UNITS) or super().is_leaf_module(m, module_qualified_name)


def _emit(graph: Graph, model: nn.Module) -> str:
    """Add the nodes of ``model`` and return the name of its output."""
    try:
        traced = _ExportTracer().trace(model)
    except Exception as error:  # of code that depends on values; of any type
        raise UserError(
            f"the network decides by the values it computes ({error}), which a graph cannot: "
            "export a network without such code"
        ) from error
    modules = dict(model.named_modules())
    values: dict[fx.Node, Any] = {}
    for node in traced.nodes:
        arguments = fx.node.map_arg(node.args, values.__getitem__)
        named = fx.node.map_arg(node.kwargs, values.__getitem__)
        if node.op == "placeholder":
            values[node] = "input"
        elif node.op == "call_module":
            name = str(node.target)
            values[node] = module(graph, modules[name], arguments[0], name.partition(".")[2])
        elif node.op == "output":
            return str(arguments[0])
        else:
            values[node] = _call(graph, node, arguments, named)
    raise UserError("the network has no output")


def _call(graph: Graph, node: fx.Node, arguments: Any, named: Any) -> Any:
    table: Any = {"call_function": FUNCTIONS, "call_method": METHODS}.get(node.op, {})
    if node.target not in table:
        known = ", ".join(sorted({getattr(f, "__name__", str(f)) for f in (*FUNCTIONS, *METHODS)}))
        raise UserError(
            f"the network computes {node.target} ({node.op}), which has no ONNX form here: export "
            f"knows {known}"
        )
    return table[node.target](graph, *arguments, **named)
