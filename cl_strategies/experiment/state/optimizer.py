"""The state of an optimizer, by the names of the parameters."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from cl_strategies.errors import UserError

if TYPE_CHECKING:
    from cl_strategies.experiment.state.walker import Walker


def capture_optimizer(strategy: Any, walker: Walker) -> dict[str, Any]:
    """Parameter groups with their options, and the state of each parameter.

    :raises UserError: if the optimizer updates something that is not in the model.
    """
    optimizer = strategy.optimizer
    name_of = {id(parameter): name for name, parameter in walker.members.parameters.items()}
    groups = []
    for group in optimizer.param_groups:
        foreign = [p for p in group["params"] if id(p) not in name_of]
        if foreign:
            raise UserError(
                f"the optimizer updates {len(foreign)} tensors that are not parameters of the "
                f"model (the first has shape {tuple(foreign[0].shape)}): make them part of it, "
                "or checkpointing cannot find them again"
            )
        options = {key: value for key, value in group.items() if key != "params"}
        groups.append(
            {
                "names": [name_of[id(parameter)] for parameter in group["params"]],
                "options": walker.encode(options, "optimizer.param_groups"),
            }
        )
    state = {
        name_of[id(parameter)]: walker.encode(dict(value), "optimizer.state")
        for parameter, value in optimizer.state.items()
        if id(parameter) in name_of
    }
    return {
        "class": type(optimizer).__name__,
        "groups": groups,
        "state": state,
        "adapted": strategy.optimized_param_id is not None,
    }


def restore_optimizer(strategy: Any, saved: dict[str, Any], walker: Walker) -> None:
    """:raises UserError: if the optimizer is of another class or has other groups."""
    optimizer = strategy.optimizer
    found = (type(optimizer).__name__, len(optimizer.param_groups))
    expected = (saved["class"], len(saved["groups"]))
    if found != expected:
        raise UserError(
            f"the state was captured with the optimizer {expected[0]} with {expected[1]} groups "
            f"of parameters, but this strategy has {found[0]} with {found[1]}"
        )
    parameters = dict(strategy.model.named_parameters())
    for group, entry in zip(optimizer.param_groups, saved["groups"], strict=True):
        group.update(walker.decode(entry["options"]))
        group["params"] = [parameters[name] for name in entry["names"]]
    optimizer.state = defaultdict(dict)
    for name, entry in saved["state"].items():
        optimizer.state[parameters[name]] = walker.decode(entry)
    strategy.optimized_param_id = parameters if saved["adapted"] else None
