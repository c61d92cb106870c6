"""Objects in a state: copies of the model, data sets, and the helpers that plugins keep."""

from __future__ import annotations

import copy
from collections.abc import Collection
from typing import Any

from avalanche.benchmarks.scenarios import CLExperience
from avalanche.benchmarks.utils.data import AvalancheDataset
from avalanche.training.utils import ParamData
from torch import nn

from cl_strategies.errors import UserError
from cl_strategies.experiment.state.modules import (
    decode_module,
    encode_module,
    module_fits,
    new_loss,
)
from cl_strategies.experiment.state.restorable import restorable_named, restorable_of
from cl_strategies.experiment.state.samples import (
    extra_attributes,
    sample_ids,
    transform_group,
    with_attribute,
)
from cl_strategies.experiment.state.walker import LEFT_OUT, StateCodec, Walker


def encode_attributes(
    owner: Any, walker: Walker, path: str, *, skip: Collection[str] = ()
) -> dict[str, Any]:
    """Return the attributes of ``owner`` but those that are left out of a state.

    :param skip: names to leave out, besides the owner's own ``transient_attributes``: what it
        makes anew for each experience.
    """
    skipped = {*skip, *getattr(type(owner), "transient_attributes", ())}
    nodes = {
        name: walker.encode(value, f"{path}.{name}")
        for name, value in sorted(vars(owner).items())
        if name not in skipped
    }
    return {name: node for name, node in nodes.items() if node is not LEFT_OUT}


def decode_attributes(
    owner: Any, nodes: dict[str, Any], walker: Walker, *, skip: Collection[str] = ()
) -> None:
    """Set the attributes of ``owner``; those that were left out stay as they are.

    :param skip: names that :func:`encode_attributes` left out.
    :raises UserError: for an attribute that no state that was written has: one in the place of a
        method, or one that is left out.
    """
    skipped = {*skip, *getattr(type(owner), "transient_attributes", ())}
    for name, node in nodes.items():
        is_method = callable(getattr(type(owner), name, None))
        if name in skipped or is_method:
            raise UserError(
                f"the state would replace {type(owner).__name__}.{name}{'()' if is_method else ''}"
            )
        vars(owner)[name] = walker.decode(node, vars(owner).get(name))


def is_stateful(value: Any) -> bool:
    """Return whether ``value`` says itself what its state is."""
    return all(callable(getattr(value, name, None)) for name in ("state_dict", "load_state_dict"))


def _encode_dataset(dataset: Any, walker: Walker, path: str) -> dict[str, Any]:
    ids = sample_ids(dataset, path)
    walker.datasets.append(dataset)
    extras = extra_attributes(dataset) if len(dataset) else {}
    return {
        "ids": ids,
        "group": transform_group(dataset),
        "extras": [
            [name, value.use_in_getitem, walker.encode(list(value), f"{path}.{name}")]
            for name, value in extras.items()
        ],
    }


def _decode_dataset(node: dict[str, Any], walker: Walker, live: Any) -> Any:
    dataset = walker.samples.subset(node["ids"].tolist())
    if transform_group(dataset) != node["group"]:
        dataset = dataset.with_transforms(node["group"])
    for name, in_samples, values in node["extras"]:
        if not name.isidentifier() or name.startswith("_") or hasattr(dataset, name):
            raise UserError(f"the state would replace {name!r} of a data set")
        dataset = with_attribute(dataset, name, walker.decode(values), in_samples)
    return dataset


def _decode_param_data(node: dict[str, Any], walker: Walker, live: Any) -> ParamData:
    data = walker.decode(node["data"])
    return ParamData(node["name"], init_tensor=data, device=data.device)


def _encode_module(module: nn.Module, walker: Walker, path: str) -> dict[str, Any]:
    return encode_module(module, walker, path)


def _decode_module(node: dict[str, Any], walker: Walker, live: Any) -> nn.Module:
    """Into the module that is there, a copy of the model, which has the same heads, or a loss."""
    name, model = node["class"], walker.strategy.model
    if isinstance(live, nn.Module) and module_fits(live, node):
        module = live
    elif type(model).__name__ == name:
        module = copy.deepcopy(model)
    elif (made := new_loss(node)) is not None:
        module = made
    else:
        raise UserError(
            f"the state holds a {name}, but the strategy has none in its place, and its model is "
            f"a {type(model).__name__}: give the plugin a state_dict() and a load_state_dict()"
        )
    decode_module(node, walker, module, name)
    return module


def _encode_stateful(value: Any, walker: Walker, path: str) -> dict[str, Any]:
    state = walker.encode(value.state_dict(), f"{path}.state_dict()")
    return {"class": type(value).__name__, "state": state}


def _decode_stateful(node: dict[str, Any], walker: Walker, live: Any) -> Any:
    if type(live).__name__ != node["class"]:
        raise UserError(
            f"the state of a {node['class']} cannot be restored, because a freshly built "
            "strategy has none in its place: create it in the constructor"
        )
    live.load_state_dict(walker.decode(node["state"]))
    return live


def _is_train_experience(value: Any) -> bool:
    return isinstance(value, CLExperience) and (
        getattr(value._origin_stream, "name", None) in ("train", "whole")  # whole: not cut to parts
    )


def _encode_object(value: Any, walker: Walker, path: str) -> dict[str, Any]:
    number = walker.numbers.get(id(value))
    if number is not None:
        return {"number": number, "attributes": None}
    number = walker.numbers[id(value)] = len(walker.numbers)
    walker.objects[number] = value
    entry = restorable_named(f"{type(value).__module__}:{type(value).__qualname__}")
    strange = sorted(vars(value).keys() - entry.attributes)
    if strange:
        walker.problem(
            f"{path}.{strange[0]}", f"is no attribute that {entry.name} is known to have"
        )
    return {
        "number": number,
        "class": entry.name,
        "attributes": encode_attributes(value, walker, path),
    }


def _decode_object(node: dict[str, Any], walker: Walker, live: Any) -> Any:
    if node["attributes"] is None:
        return walker.objects[node["number"]]
    entry = restorable_named(node["class"])
    strange = sorted(node["attributes"].keys() - entry.attributes)
    if strange:
        raise UserError(f"the state holds a {entry.name} with an attribute {strange[0]!r}")
    if type(live) is not entry.kind:
        live = entry.create()
    walker.objects[node["number"]] = live
    decode_attributes(live, node["attributes"], walker)
    return live


OBJECT_CODECS: tuple[StateCodec, ...] = (
    StateCodec(
        "dataset",
        lambda value: isinstance(value, AvalancheDataset),
        _encode_dataset,
        _decode_dataset,
    ),
    StateCodec(
        "experience",
        _is_train_experience,
        lambda value, walker, path: {"position": value.logging().current_experience},
        lambda node, walker, live: walker.samples.experience(node["position"]),
    ),
    StateCodec(
        "param_data",
        lambda value: type(value) is ParamData,
        lambda value, walker, path: {
            "name": value.name,
            "data": walker.encode(value.data, f"{path}.data"),
        },
        _decode_param_data,
    ),
    StateCodec(
        "module", lambda value: isinstance(value, nn.Module), _encode_module, _decode_module
    ),
    StateCodec("stateful", is_stateful, _encode_stateful, _decode_stateful),
    StateCodec(
        "object", lambda value: restorable_of(value) is not None, _encode_object, _decode_object
    ),
)
