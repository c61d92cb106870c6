"""Everything that a module consists of, by name, in one walk.

``named_parameters()``, ``named_buffers()`` and ``named_modules()`` each walk through all modules,
which takes longer than anything else about a network with parts for hundreds of tasks.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class Members:
    """As those methods yield them, each object once, in the same order and under the same name."""

    modules: dict[str, nn.Module]
    parameters: dict[str, nn.Parameter]
    buffers: dict[str, Tensor]


def members_of(module: nn.Module) -> Members:
    """Return what ``module`` has now.

    >>> list(members_of(nn.Sequential(nn.Linear(1, 1))).parameters)
    ['0.weight', '0.bias']
    """
    found = Members(dict(module.named_modules()), {}, {})
    met: set[int] = set()
    for prefix, part in found.modules.items():
        start = f"{prefix}." if prefix else ""
        for own, names in (
            (part._parameters, found.parameters),
            (part._buffers, found.buffers),
        ):
            for name, tensor in own.items():
                if tensor is not None and id(tensor) not in met:
                    met.add(id(tensor))
                    names[f"{start}{name}"] = tensor  # type: ignore[index, assignment]
    return found
