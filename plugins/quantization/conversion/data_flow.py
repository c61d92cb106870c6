"""What the code of a network says of its layers: the signs of their inputs, the norms behind them.

The code is followed symbolically, without data, in evaluation mode. Where it branches on values or
shapes nothing is known, and the first batch decides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from cl_strategies.models.call_order import read_only
from cl_strategies.plugins.quantization.conversion.value_signs import Sign, joint, sign_of


@dataclass(frozen=True)
class DataFlow:
    """The calls of a network, as far as they can be read from its code.

    :param graph: the calls; ``None`` if they cannot be read.
    :param modules: name -> module.
    """

    graph: fx.Graph | None
    modules: Mapping[str, nn.Module]

    def input_signs(self, layers: Sequence[nn.Module]) -> dict[int, Sign]:
        """Return, by ``id`` of each layer, whether its input can be negative.

        :returns: ``False``: never, as after ReLU; ``True``: it can, as after SiLU; ``None``: the
            code does not tell, or there is none.
        """
        signs: dict[fx.Node, Sign] = {}
        found: dict[int, list[Sign]] = {id(layer): [] for layer in layers}
        for node in self.graph.nodes if self.graph is not None else ():
            target = self._target(node)
            if id(target) in found and node.args:
                found[id(target)].append(signs.get(node.args[0]))
            signs[node] = sign_of(node, target, signs)
        return {key: joint(values) for key, values in found.items()}

    def _target(self, node: fx.Node) -> Any:
        """Return the module that is called, or the parameter that is read; of others nothing."""
        if node.op == "call_module":
            return self.modules[str(node.target)]
        if node.op != "get_attr":
            return None
        owner, _, name = str(node.target).rpartition(".")  # a constant of the code has no owner
        return self.modules[owner]._parameters.get(name) if owner in self.modules else None

    def norms_behind(self, layers: Sequence[nn.Module]) -> dict[int, _BatchNorm]:
        """Return, by ``id`` of a layer, the BatchNorm that alone takes its output.

        Both are called once; what is called more often has no single scale to fold.
        """
        found = {}
        chosen = {id(layer) for layer in layers}
        nodes = () if self.graph is None else self.graph.nodes
        modules = {n: self.modules[str(n.target)] for n in nodes if n.op == "call_module"}
        called = [id(module) for module in modules.values()]
        for node, norm in modules.items():
            source = node.args[0] if node.args else None
            if not isinstance(norm, _BatchNorm) or not isinstance(source, fx.Node):
                continue
            layer = modules.get(source)
            if layer is None or id(layer) not in chosen:
                continue
            if len(source.users) == called.count(id(layer)) == called.count(id(norm)) == 1:
                found[id(layer)] = norm
        return found


def data_flow(model: nn.Module, layers: Sequence[nn.Module]) -> DataFlow:
    """Read the calls of ``model``, which is left as it is.

    :param layers: those whose inputs and outputs are asked for; one inside another is not seen.
    """
    chosen = {id(layer) for layer in layers}

    def is_chosen(module: nn.Module) -> bool:
        return id(module) in chosen or isinstance(module, _BatchNorm)

    def holds(module: nn.Module) -> bool:
        return any(map(is_chosen, module.modules()))

    modules = dict(model.named_modules())
    if is_chosen(model):  # there is nothing around it
        return DataFlow(None, modules)
    with read_only(model):
        for follow in (lambda m: not m.__module__.startswith("torch.nn"), lambda m: False):
            try:
                return DataFlow(_FlowTracer(is_chosen, holds, follow).trace(model), modules)
            except Exception:  # code may do anything with a value that is not there
                continue
    return DataFlow(None, modules)


class _FlowTracer(fx.Tracer):
    """Follows modules that hold chosen ones, and of the others those of ``follow``.

    A head that grows keeps what it has computed in objects of its own, where symbols must not stay.
    """

    def __init__(
        self,
        chosen: Callable[[nn.Module], bool],
        holds: Callable[[nn.Module], bool],
        follow: Callable[[nn.Module], Any],
    ) -> None:
        super().__init__()
        self.chosen, self.holds, self.follow = chosen, holds, follow

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        if self.chosen(m) or self.holds(m):
            return self.chosen(m)
        return hasattr(m, "adaptation") or not (self.follow(m) or isinstance(m, nn.Sequential))
