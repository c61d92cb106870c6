"""Which parts of a network are projected, frozen, or left alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from avalanche.models import MultiTaskModule
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from cl_strategies.errors import UserError
from cl_strategies.plugins.task_layers.conversion import check_shared, find_head

_FROZEN = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.PReLU)


@dataclass(frozen=True)
class ProjectedParts:
    """Names are those of the modules in the network.

    :param layers: Linear and Conv2d layers that all tasks share.
    :param norms: other modules with parameters or statistics that all tasks share.
    """

    layers: dict[str, Any]
    norms: dict[str, nn.Module]

    def frozen(self) -> list[nn.Parameter]:
        """Return the parameters that only the first task trains: biases and normalizations."""
        biases = [layer.bias for layer in self.layers.values() if layer.bias is not None]
        return [*biases, *(p for norm in self.norms.values() for p in norm.parameters())]


def projected_parts(network: nn.Module) -> ProjectedParts:
    """Find the shared parts of a network, which the heads of a multi-head classifier are not.

    :raises UserError: for parameters of other modules, or shared by several.
    """
    check_shared(network, "GPM")
    own: set[int] = set()
    if isinstance(network, MultiTaskModule):
        own = {id(module) for module in find_head(network, "GPM").modules()}
    layers: dict[str, Any] = {}
    norms: dict[str, nn.Module] = {}
    for name, module in network.named_modules():
        if id(module) in own:
            continue
        if type(module) in (nn.Linear, nn.Conv2d):
            layers[name] = module
        elif isinstance(module, _FROZEN):
            norms[name] = module
        elif list(module.parameters(recurse=False)):
            raise UserError(
                f"{name or type(network).__name__} is a {type(module).__name__} with parameters "
                "of its own, whose gradient GPM cannot project: it handles Linear, Conv2d and "
                "normalization layers"
            )
    if not layers:
        raise UserError(
            f"GPM projects the gradients of Linear and Conv2d layers, and "
            f"{type(network).__name__} has none that tasks share: use a model with at least one "
            "hidden layer"
        )
    return ProjectedParts(layers, norms)
