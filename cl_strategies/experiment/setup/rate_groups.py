"""Groups of an optimizer by the learning rates of their parameters."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

from cl_strategies.errors import UserError
from cl_strategies.validation.plain_data import shown

_SHOWN = 6  # names of parameters in a message


def rate_groups(
    model: nn.Module, factors: Sequence[tuple[str, float]], lr: float
) -> list[dict[str, Any]]:
    """Return one group for each factor of the learning rate.

    Those with the factor 1 come first, whether there are any or not: what follows the first group
    of an optimizer follows the plain rate, and parameters that come later, such as heads of later
    tasks, have a place there.

    :param factors: patterns of names of parameters with a factor each; the first that fits a
        parameter counts, and 1 for those that none fits.
    :raises UserError: for a pattern that counts for no parameter.
    """
    groups: dict[float, list[nn.Parameter]] = {1.0: []}
    used: set[str | None] = set()
    for name, parameter in model.named_parameters():
        fitting = (pair for pair in factors if fnmatchcase(name, pair[0]))
        pattern, factor = next(fitting, (None, 1.0))
        used.add(pattern)
        groups.setdefault(factor, []).append(parameter)
    for pattern, _ in factors:
        if pattern not in used:
            raise UserError(_unused(model, pattern))
    return [{"params": part, "lr": lr * factor} for factor, part in groups.items()]


def _unused(model: nn.Module, pattern: str) -> str:
    names = [name for name, _ in model.named_parameters()]
    some = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
    reason = "fits no parameter of the model as it is before training"
    if any(fnmatchcase(name, pattern) for name in names):
        reason = "fits only parameters that a pattern before it fits: put it first"
    return (
        f"train.lr_factors has the pattern {shown(pattern)}, which {reason}; the names of the "
        f"{len(names)} parameters are {some}"
    )
