"""An ONNX graph while it is built: nodes, constants and names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from cl_strategies.errors import UserError

#: Opset and version of the format: what a type of that many bits needs.
VERSIONS = {8: (17, 8), 4: (21, 10), 2: (25, 13)}

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
        self._known: dict[tuple[Any, ...], str] = {}
        self._narrowest = 8

    def constant(self, value: Tensor | Array | float | Sequence[int], kind: Any = None) -> str:
        """Add an initializer; one of the same value is used again.

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
        array = np.asarray(array if kind is None else array.astype(kind), order="C")
        key = array.dtype.str, array.shape, array.tobytes()
        if key not in self._known:
            self._known[key] = f"c{len(self.constants)}"
            made = self._onnx.numpy_helper.from_array(array, self._known[key])
            self.constants.append(made)
        return self._known[key]

    def width(self, bits: int) -> int:
        """Return the bits of the smallest type that holds codes of ``bits`` bits: 2, 4 or 8."""
        known = [2] if hasattr(self._onnx.TensorProto, "UINT2") else []
        return next(width for width in (*known, 4, 8) if bits <= width)

    def packed(self, codes: Tensor, width: int) -> str:
        """Add unsigned integers of 2, 4 or 8 bits, several to a byte, and the node of their int32.

        :param codes: integers from 0 that fit ``width`` bits.
        """
        self._narrowest = min(self._narrowest, width)
        flat = codes.flatten().numpy().astype(np.int64)
        each = 8 // width
        flat = np.pad(flat, (0, -len(flat) % each)).reshape(-1, each)
        raw = (flat << (width * np.arange(each))).sum(1).astype(np.uint8).tobytes()
        name = f"c{len(self.constants)}"
        type_ = getattr(self._onnx.TensorProto, f"UINT{width}")
        made = self._onnx.helper.make_tensor(name, type_, codes.shape, raw, raw=True)
        self.constants.append(made)
        return self.cast(name, "INT32")

    def cast(self, x: str, kind: str) -> str:
        """Add the node that converts ``x`` to the ONNX type of that name."""
        return self.add("Cast", x, to=int(getattr(self._onnx.TensorProto, kind)))

    def unfused(self, x: str) -> str:
        """Add a node that leaves values as they are, and that no runtime takes out: a slope of
        one. What stands before and behind it is not fused."""
        return self.add("LeakyRelu", x, alpha=1.0)

    def add(self, operation: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output."""
        output = f"v{len(self.nodes)}"
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
        opset, version = VERSIONS[self._narrowest]
        made = helper.make_model(
            graph,
            producer_name="cl-strategies",
            opset_imports=[helper.make_opsetid("", opset)],
            ir_version=version,
        )
        self._onnx.checker.check_model(made, full_check=True)
        return made
