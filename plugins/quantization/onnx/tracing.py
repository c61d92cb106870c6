"""From a module to a :class:`Network`: its code is read once, with symbols in place of values."""

from __future__ import annotations

from typing import Any

from torch import fx, nn

from cl_strategies.errors import UserError
from cl_strategies.plugins.quantization.onnx.network import Network, Node
from cl_strategies.plugins.quantization.onnx.operations import FUNCTIONS, METHODS, UNITS, module


class _ExportTracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, UNITS) or super().is_leaf_module(m, module_qualified_name)


def trace(model: nn.Module) -> Network:
    """Return the operations of ``model`` in the order in which it calls them.

    :raises UserError: if the network decides by values, or computes what has no ONNX form here.
    """
    root = nn.Sequential(model)  # a module that is a unit has a name, too
    try:
        traced = _ExportTracer().trace(root)
    except Exception as error:  # of code that depends on values; of any type
        raise UserError(
            f"the network decides by the values it computes ({error}), which a graph cannot: "
            "export a network without such code"
        ) from error
    modules = dict(root.named_modules())
    network = Network([])
    values: dict[fx.Node, Any] = {}
    for step in traced.nodes:
        arguments = fx.node.map_arg(step.args, values.__getitem__)
        named = fx.node.map_arg(step.kwargs, values.__getitem__)
        if step.op == "placeholder":
            made: Any = Node(kind="input")
        elif step.op == "call_module":
            name = str(step.target)
            made = module(modules[name], arguments[0], name.partition(".")[2])
        elif step.op == "output":
            made = Node(kind="output", inputs=[arguments[0]])
        else:
            made = _call(step, arguments, named)
        values[step] = made
        _append(network, made)
    return network


def _append(network: Network, made: Any) -> None:
    """Add a node behind its inputs, those among them that are new included."""
    if isinstance(made, Node) and made not in network.nodes:
        for given in made.inputs:
            _append(network, given)
        network.nodes.append(made)


def _call(step: fx.Node, arguments: Any, named: Any) -> Any:
    table: Any = {"call_function": FUNCTIONS, "call_method": METHODS}.get(step.op, {})
    if step.target not in table:
        known = ", ".join(sorted({getattr(f, "__name__", str(f)) for f in (*FUNCTIONS, *METHODS)}))
        raise UserError(
            f"the network computes {step.target} ({step.op}), which has no ONNX form here: export "
            f"knows {known}"
        )
    return table[step.target](*arguments, **named)
