"""Which operators onnxruntime computes in integers."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from cl_strategies.errors import UserError
from cl_strategies.plugins.quantization.onnx.graph import onnx

#: Beginnings of the names of onnxruntime's operators on integers.
_NAMES = ("QLinear", "QGemm", "ConvInteger", "MatMulInteger", "NhwcMaxPool")


def operators(path: str | Path) -> dict[str, int]:
    """Count the operators of a file after onnxruntime has optimized it for this processor.

    :param path: an ONNX file.
    :returns: name of an operator -> how often it is there, the most frequent one first.
    :raises UserError: if the package onnx or onnxruntime is missing, or there is no such file.
    """
    if not Path(path).is_file():
        raise UserError(f"there is no file {path}: write one with export_onnx")
    with tempfile.TemporaryDirectory() as folder:
        optimized = str(Path(folder) / "optimized.onnx")
        options = _runtime().SessionOptions()
        options.optimized_model_filepath = optimized
        options.intra_op_num_threads = 1
        options.log_severity_level = 3  # it warns that the file is for this processor
        _runtime().InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        graph = onnx().load(optimized).graph
    return dict(Counter(node.op_type for node in graph.node).most_common())


def integer_operators(path: str | Path) -> dict[str, int]:
    """Return those of :func:`operators` that compute in integers, such as ``QLinearConv``."""
    return {name: count for name, count in operators(path).items() if name.startswith(_NAMES)}


def _runtime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError(
            "counting what a runtime makes of the file needs onnxruntime: pip install onnxruntime"
        ) from error
    return onnxruntime
