"""Giving an ordinary multi-head network weights per task, or saying why that cannot be done."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from avalanche.models import DynamicModule, MultiTaskModule
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from cl_strategies.errors import UserError
from cl_strategies.plugins.task_layers.layers import (
    OutputBias,
    PerTask,
    Switch,
    TaskDict,
    TaskLayer,
)

_LAYERS = (nn.Linear, nn.Conv2d)
_PER_TASK = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.PReLU)


@dataclass
class NetworkParts:
    """The parts of a network that were found and replaced, by the names of their modules.

    :param head: the multi-head classifier, unchanged.
    :param layers: linear and convolutional layers below it, in the order of definition.
    :param norms: normalizations below it, and biases on top of ``fixed``.
    :param fixed: layers whose weights the user froze: all tasks share them as they are.
    """

    head: nn.Module
    layers: dict[str, Any]
    norms: dict[str, Any]
    fixed: dict[str, Any] = field(default_factory=dict)


def divide(
    network: nn.Module, switch: Switch, kinds: Mapping[Any, Any], method: str
) -> NetworkParts:
    """Replace the layers below the heads by layers with weights per task, in place.

    A layer whose weights are frozen stays as it is, but for a bias per task unless that is frozen,
    too.

    :param network: Linear, Conv2d, normalization layers (each its own for every task), modules
        without parameters, and one multi-head classifier.
    :param switch: Switch that selects the task to compute.
    :param kinds: what replaces ``nn.Linear`` and ``nn.Conv2d``, called with the layer and the
        switch; without an entry a layer stays as it is.
    :param method: Name of the method, for error messages.
    :raises UserError: if the network is none of that, with the reason; it is then unchanged.
    """
    parts = find_parts(network, method)
    fixed = {
        name: layer
        for name, layer in parts.layers.items()
        if type(layer) in kinds and not layer.weight.requires_grad
    }
    layers = {
        name: kinds[type(layer)](layer, switch) if type(layer) in kinds else layer
        for name, layer in parts.layers.items()
        if name not in fixed
    }
    norms = {name: PerTask(norm, switch) for name, norm in parts.norms.items()}
    for name, module in (*layers.items(), *norms.items()):
        module.training = network.training
        put(network, name, module)
    for name, layer in fixed.items():
        if layer.bias is not None and layer.bias.requires_grad:
            norms[f"{name}.1"] = PerTask(OutputBias(layer), switch)
            put(network, name, nn.Sequential(layer, norms[f"{name}.1"]).train(network.training))
    for module in network.modules():
        if isinstance(module, DynamicModule):
            module._auto_adapt = False  # TaskModel adapts the heads, in training only
    for name, heads in list(parts.head.named_children()):
        if type(heads) is nn.ModuleDict:
            setattr(parts.head, name, TaskDict(dict(heads.items())).train(heads.training))
    return NetworkParts(parts.head, layers, norms, fixed)


def put(network: nn.Module, name: str, module: nn.Module) -> None:
    """Replace the submodule of this name by ``module``."""
    path, _, attribute = name.rpartition(".")
    # Not setattr(), which Avalanche's as_multitask() hands on to the network inside.
    network.get_submodule(path).add_module(attribute, module)


def find_parts(network: nn.Module, method: str) -> NetworkParts:
    """Find the head, the layers and the normalizations of a network that can be divided.

    :raises UserError: for one that cannot, with the reason.
    """
    if any(isinstance(module, PerTask | TaskLayer) for module in network.modules()):
        raise UserError(
            "the model was already given weights per task, by another strategy: build a new one"
        )
    head = find_head(network, method)
    layers, norms = _below(network, head, method)
    check_shared(network, method)
    if not layers:
        raise UserError(
            f"{method} works on Linear and Conv2d layers, and {type(network).__name__} has none "
            "below its heads: use a model with at least one hidden layer"
        )
    return NetworkParts(head, layers, norms)


def head_modules(head: nn.Module, task: str) -> list[nn.Module]:
    """Return the modules that ``task`` alone uses in a multi-head classifier.

    :raises UserError: if the classifier keeps its heads elsewhere than in a ``ModuleDict`` by
        task label, as those of Avalanche and of this package do.
    """
    groups = [m for m in head.children() if isinstance(m, nn.ModuleDict) and task in m]
    if len(groups) != 1:
        raise UserError(
            f"which parameters of {type(head).__name__} belong to task {task} is not known: "
            "use cl_strategies.models.MultiHead or avalanche.models.MultiHeadClassifier"
        )
    return [groups[0][task]]


def find_head(network: nn.Module, method: str) -> nn.Module:
    """Find the multi-head classifier in a network.

    :raises UserError: unless there is exactly one, below something else.
    """
    multi = [m for m in network.modules() if isinstance(m, MultiTaskModule)]
    leaves = [m for m in multi if not any(isinstance(c, MultiTaskModule) for c in _inside(m))]
    if len(leaves) != 1 or leaves[0] is network:
        found = "none below its layers" if len(leaves) < 2 else f"{len(leaves)} of them"
        raise UserError(
            f"{method} needs a multi-head classifier, one head per task, and "
            f"{type(network).__name__} has {found}: build it with scenario='task', or with "
            "avalanche.models.as_multitask(model, 'classifier')"
        )
    return leaves[0]


def _inside(module: nn.Module) -> list[nn.Module]:
    return [m for m in module.modules() if m is not module]


def _below(
    network: nn.Module, head: nn.Module, method: str
) -> tuple[dict[str, nn.Module], dict[str, nn.Module]]:
    """Return the layers and the normalizations outside the head, by name."""
    ours = {id(m) for m in head.modules()}
    layers: dict[str, nn.Module] = {}
    norms: dict[str, nn.Module] = {}
    for name, module in network.named_modules():
        if id(module) in ours:
            continue
        parameters = list(module.parameters(recurse=False))
        if type(module) in _LAYERS:
            layers[name] = module
        elif isinstance(module, _PER_TASK):
            _check_statistics(name, module)
            if parameters or list(module.buffers(recurse=False)):
                norms[name] = module
        elif parameters:
            raise UserError(
                f"{name or type(network).__name__} is a {type(module).__name__} with parameters "
                f"of its own, which {method} cannot handle: it handles Linear, Conv2d and "
                "normalization layers"
            )
    return layers, norms


def _check_statistics(name: str, norm: nn.Module) -> None:
    batch_norm = isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d)
    if batch_norm and not norm.track_running_stats:
        raise UserError(
            f"{name} is a {type(norm).__name__} without running statistics, so that predictions "
            "depend on the other samples of the batch and a batch of one fails: build it with "
            "track_running_stats=True"
        )


def check_shared(network: nn.Module, method: str) -> None:
    """Check that every parameter of a network belongs to one module.

    :raises UserError: if two modules share one.
    """
    names = defaultdict(list)
    for name, parameter in network.named_parameters(remove_duplicate=False):
        names[id(parameter)].append(name)
    shared = next((group for group in names.values() if len(group) > 1), None)
    if shared:
        raise UserError(
            f"{' and '.join(shared)} are the same parameter, and {method} treats each layer on "
            "its own: give them separate weights"
        )
