"""The group of an optimizer that a parameter belongs to that came after the optimizer was made."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from torch import nn
from torch.optim import Optimizer

from cl_strategies.errors import UserError


def place_new(
    optimizer: Optimizer,
    model: nn.Module,
    *,
    known: Mapping[str, nn.Parameter],
    apart: Collection[int] = (),
) -> None:
    """Put parameters that ``optimizer`` lacks, such as those of a new head, into one of its groups.

    That is the group without parameters, if there is one, or whose parameters are gone: it was made
    for parameters to come. Else it is the group of the nearest relatives in the tree of modules;
    where these are in several groups, of those that are vectors, such as biases, if the new one is
    a vector, or are not, if it is not, as with groups of different weight decay.

    :param known: by name, what Avalanche follows itself: grown parameters keep their place.
    :param apart: ids of parameters that are nobody's relatives.
    :raises UserError: if the nearest relatives are in several groups.
    """
    groups = optimizer.param_groups
    where = {id(p): index for index, group in enumerate(groups) for p in group["params"]}
    named = dict(model.named_parameters())
    placed = {
        name: (where[id(known.get(name, parameter))], parameter.ndim > 1)
        for name, parameter in named.items()
        if id(known.get(name, parameter)) in where and id(parameter) not in apart
    }
    gone = {id(parameter) for name, parameter in known.items() if name not in named}
    free = [i for i, group in enumerate(groups) if all(id(p) in gone for p in group["params"])]
    for name, parameter in named.items():
        if name in known or id(parameter) in where:
            continue
        group = free[0] if free else _nearest(name, parameter.ndim > 1, placed)
        groups[group]["params"].append(parameter)


def _nearest(name: str, matrix: bool, placed: Mapping[str, tuple[int, bool]]) -> int:
    parts = name.split(".")
    for length in range(len(parts) - 1, -1, -1):
        prefix = "".join(f"{part}." for part in parts[:length])
        near = [where for other, where in placed.items() if other.startswith(prefix)]
        alike = {index for index, kind in near if kind == matrix}
        for groups in ({index for index, _ in near}, alike):
            if len(groups) == 1:
                return groups.pop()
        if near:
            raise UserError(
                f"the new parameter {name!r} could belong to {len({i for i, _ in near})} groups of "
                "the optimizer: give an optimizer with one group, or a further one without "
                "parameters, which takes new ones"
            )
    return 0
