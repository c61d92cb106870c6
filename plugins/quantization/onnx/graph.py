"""An ONNX graph while it is built: nodes, constants and names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from cl_strategies.errors import UserError

#: Quantized tensors per axis need 13; LayerNormalization and the like are not used.
OPSET, IR_VERSION = 17, 8

Array = npt.NDArray[Any]


def onnx() -> Any:
    """Import the package onnx when it is needed.

    :raises UserError: if it is not installed.
    """
    try:
        import onnx
        import onnx.helper
        import onnx.numpy_helper
    except ImportError as error:
        raise UserError(
            "exporting needs the package onnx: pip install 'cl-strategies[onnx]'"
        ) from error
    return onnx


class Graph:
    """Nodes in the order in which they are added; every method returns the name of an output."""

    def __init__(self) -> None:
        self._onnx = onnx()
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, value: Tensor | Array | float | Sequence[int], kind: Any = None) -> str:
        """Add an initializer.

        :param value: a tensor or array; a number becomes float32, a list of integers int64.
        :param kind: NumPy type to convert to.
        """
        if isinstance(value, Tensor):
            array = value.detach().cpu().numpy()
        elif isinstance(value, float | int):
            array = np.asarray(value, dtype=np.float32)
        else:
            array = np.asarray(value)
        if kind is None and array.dtype == np.float64:
            kind = np.float32
        array = np.ascontiguousarray(array if kind is None else array.astype(kind))
        name = f"constant_{len(self.constants)}"
        self.constants.append(self._onnx.numpy_helper.from_array(array, name))
        return name

    def add(self, operation: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output."""
        output = f"{operation.lower()}_{len(self.nodes)}"
        node = self._onnx.helper.make_node(operation, list(inputs), [output], **attributes)
        self.nodes.append(node)
        return output

    def model(self, source: str, result: str, input_shape: Sequence[int], classes: int) -> Any:
        """Return the finished model, checked.

        :param source: name that the nodes use for the input.
        :param result: name of the output.
        :param input_shape: shape of one sample; the batch may have any size.
        :param classes: number of logits of one sample.
        """
        helper, float_ = self._onnx.helper, self._onnx.TensorProto.FLOAT
        self.nodes.append(helper.make_node("Identity", [result], ["logits"]))
        graph = helper.make_graph(
            self.nodes,
            "model",
            [helper.make_tensor_value_info(source, float_, ["batch", *input_shape])],
            [helper.make_tensor_value_info("logits", float_, ["batch", classes])],
            self.constants,
        )
        made = helper.make_model(
            graph,
            producer_name="cl-strategies",
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
        )
        self._onnx.checker.check_model(made, full_check=True)
        return made
