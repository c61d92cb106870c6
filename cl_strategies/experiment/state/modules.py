"""Modules in a state: weights, buffers, modes, and what modules keep in Python attributes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.modules import loss as losses

from cl_strategies.errors import UserError
from cl_strategies.io.packing import stacked, unstacked

if TYPE_CHECKING:
    from cl_strategies.experiment.state.walker import Walker

#: What every module has besides its own attributes: tables, hooks and the mode.
_OF_EVERY_MODULE = frozenset(vars(nn.Module()))
_CONTAINERS = (list, tuple, set, frozenset, dict)
_IMMUTABLE = (type(None), bool, int, float, complex, str, bytes, torch.dtype, torch.Size)

#: The losses of PyTorch, which may become the criterion during training.
_LOSSES = {
    name: kind
    for name, kind in vars(losses).items()
    if isinstance(kind, type) and issubclass(kind, nn.Module) and kind.__module__ == losses.__name__
}


def encode_module(module: nn.Module, walker: Walker, path: str) -> dict[str, Any]:
    """Weights, buffers, which parts are frozen or in evaluation mode, and plain attributes."""
    weights, members = module.state_dict(keep_vars=True), walker.members_of(module)
    parts, parameters = members.modules, members.parameters.items()
    buffers = {name: value for name, value in members.buffers.items() if name not in weights}
    walker.enclose([*weights.values(), *buffers.values()])
    return {
        "class": type(module).__name__,
        "weights": _tensors(weights, walker, path),
        "buffers": _tensors(buffers, walker, path),
        "attributes": {name: values for name, values in _attributes(parts, walker, path)},
        "frozen": _names_as_text(name for name, p in parameters if not p.requires_grad),
        "evaluating": _names_as_text(n for n, part in parts.items() if not part.training),
    }


def decode_module(node: Mapping[str, Any], walker: Walker, module: nn.Module, path: str) -> None:
    """Put what ``node`` holds into ``module``.

    :raises UserError: if its parameters are others.
    """
    weights, buffers = unstacked(node["weights"]), unstacked(node["buffers"])
    own = dict(module.named_buffers())
    expected, saved = shapes({**own, **module.state_dict()}), shapes({**weights, **buffers})
    if expected != saved:
        differing = [
            name for name in sorted({*expected, *saved}) if expected.get(name) != saved.get(name)
        ]
        raise UserError(
            f"the {path} that was captured has other parameters than the one to restore: "
            f"{', '.join(differing[:5])}. Heads must grow in training only "
            "(cl_strategies.models.heads), and the configuration must be the same"
        )
    module.load_state_dict(weights)
    with torch.no_grad():
        for name, value in buffers.items():
            own[name].copy_(value)
    frozen, evaluating = (set(_names_of_text(node[key])) for key in ("frozen", "evaluating"))
    parts = dict(module.named_modules())
    if not node["attributes"].keys() <= parts.keys():
        raise UserError(f"the {path} that was captured has other parts than the one to restore")
    for name, part in parts.items():
        _set_attributes(part, node["attributes"].get(name, {}), walker)
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(name not in frozen)
    for name, part in module.named_modules():
        part.training = name not in evaluating


def module_fits(module: nn.Module, node: Mapping[str, Any]) -> bool:
    """Return whether ``module`` has the class, the names and the shapes of what ``node`` holds."""
    saved = shapes(unstacked(node["weights"]))
    return type(module).__name__ == node["class"] and shapes(module.state_dict()) == saved


def is_loss(value: Any) -> bool:
    """Return whether ``value`` is a loss of PyTorch's, which a state may make anew."""
    return _LOSSES.get(type(value).__name__) is type(value)


def new_loss(node: Mapping[str, Any]) -> nn.Module | None:
    """Return the loss of PyTorch's that ``node`` names, to be filled; ``None`` if there is none."""
    kind = _LOSSES.get(node["class"])
    if kind is None:
        return None
    made = kind()
    weights = unstacked(node["weights"])
    for name in weights.keys() & made._buffers.keys():  # such as weights of classes
        made.register_buffer(name, torch.empty_like(weights[name]))
    return made


def shapes(weights: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor, by its name."""
    return {name: tuple(getattr(value, "shape", ())) for name, value in weights.items()}


def _tensors(tensors: Mapping[str, Any], walker: Walker, path: str) -> dict[str, Any]:
    for name, value in tensors.items():
        if not torch.is_tensor(value):
            raise UserError(
                f"{path}.{name} is a {type(value).__name__}: a module may hold tensors only"
            )
        walker.count(value)
    return stacked(tensors)


def _names_as_text(names: Iterable[str]) -> str:
    """Return one value instead of hundreds, each of which would take its time in a checkpoint."""
    return json.dumps(list(names))


def _names_of_text(text: Any) -> list[str]:
    """:raises UserError: for text that is no list of names."""
    names = json.loads(text) if isinstance(text, str) else None
    if not isinstance(names, list) or any(type(name) is not str for name in names):
        raise UserError("the state does not say which parts of a module are frozen")
    return names


def _attributes(
    parts: Mapping[str, nn.Module], walker: Walker, path: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, part in parts.items():
        values = {
            key: walker.encode(vars(part)[key], f"{path}.{name}.{key}") for key in _names(part)
        }
        if values:
            yield name, values


def _names(module: nn.Module) -> list[str]:
    """Return the attributes that are captured of ``module`` itself, without its parts."""
    transient = getattr(type(module), "transient_attributes", ())
    return [
        key
        for key, value in vars(module).items()
        if key not in _OF_EVERY_MODULE and key not in transient and _is_plain(value)
    ]


def _is_plain(value: Any) -> bool:
    """Return numbers and text in lists, sets and tables, and tensors among them."""
    if isinstance(value, dict):
        return type(value) is dict and _is_plain([*value.keys(), *value.values()])
    if isinstance(value, _CONTAINERS):
        return type(value) in _CONTAINERS and all(_is_plain(item) for item in value)
    return type(value) in _IMMUTABLE or type(value) is Tensor


def _set_attributes(module: nn.Module, values: Mapping[str, Any], walker: Walker) -> None:
    for name in set(_names(module)) - values.keys():
        del vars(module)[name]  # it came later than the state, into a copy of the model
    for name, node in values.items():
        if name in _OF_EVERY_MODULE or callable(getattr(type(module), name, None)):
            raise UserError(f"the state would replace {type(module).__name__}.{name}")
        live = vars(module).get(name)
        if live is not None and not _is_plain(live):
            raise UserError(
                f"the state has a number or text for {type(module).__name__}.{name}, which is a "
                f"{type(live).__name__}"
            )
        vars(module)[name] = walker.decode(node, live)
