"""A second branch of a network that differs in its activation functions alone.

All layers, BatchNorm statistics included, are those of the network itself: within
:meth:`PadeActivations.replacing` each ReLU that a forward pass meets is computed by a learnable
Padé unit instead, the first by the first unit and so on. It does not matter whether the network
has ``nn.ReLU`` modules or calls ``torch.relu``; nothing in it is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from cl_strategies.errors import UserError
from cl_strategies.plugins.masking.pade_function import (
    RELU_DENOMINATOR,
    RELU_NUMERATOR,
    pade_activation,
)

_RELUS = frozenset(
    {F.relu, F.relu_, torch.relu, torch.relu_, torch.Tensor.relu, torch.Tensor.relu_}
)


class PadeActivations(nn.Module):
    """phi of CIM: the coefficients of the Padé units that take the place of a network's ReLUs.

    They start as a fit of ReLU on [-3, 3].

    :param sites: ReLUs in one forward pass; see :func:`count_relus`.
    :param learnable: How many ReLUs are replaced, counted from the last; all if 0.
    :raises UserError: unless ``0 <= learnable <= sites`` and ``sites`` is positive.
    """

    def __init__(self, sites: int, *, learnable: int = 0) -> None:
        super().__init__()
        if sites < 1:
            raise UserError("the network has no ReLU that a learnable activation could replace")
        if not 0 <= learnable <= sites:
            raise UserError(f"{learnable} learnable activations: the network has {sites} ReLUs")
        self.sites = sites
        count = learnable or sites
        self.numerator = nn.Parameter(torch.tensor(RELU_NUMERATOR).repeat(count, 1))
        self.denominator = nn.Parameter(torch.tensor(RELU_DENOMINATOR).repeat(count, 1))

    @torch.no_grad()
    def resized(self, sites: int) -> PadeActivations:
        """Return the units for a network that has gained ReLUs, or lost some, at its end.

        Units of further ReLUs are those of the last ones: a new backbone begins as a copy of the
        last one, its activations included.

        :param sites: ReLUs in one forward pass.
        :raises UserError: unless it is positive.
        """
        count = len(self.numerator)
        fresh = PadeActivations(sites, learnable=0 if count == self.sites else count)
        if len(fresh.numerator) == count:  # the last units of the network, wherever they are
            rows = torch.arange(count)
        else:
            more = sites - self.sites
            rows = torch.arange(sites)
            rows[self.sites :] = self.sites - more + torch.arange(max(0, more))
            rows = rows.clamp(0, count - 1)
        fresh.numerator.copy_(self.numerator[rows])
        fresh.denominator.copy_(self.denominator[rows])
        return fresh

    @contextmanager
    def replacing(self) -> Iterator[None]:
        """Within, forward passes of the network use these units; one pass per entry.

        :raises UserError: on leaving, if the pass met another number of ReLUs.
        """
        kept = self.sites - len(self.numerator)
        rows = list(zip(self.numerator.unbind(), self.denominator.unbind(), strict=True))

        def activation(site: int, x: Tensor) -> Tensor:
            if site < kept or site >= self.sites:
                return F.relu(x)
            return pade_activation(x, *rows[site - kept])

        mode = _Replacing(activation)
        with mode:
            yield
        if mode.site != self.sites:
            raise UserError(
                f"a forward pass met {mode.site} ReLUs, expected {self.sites}: the masks of CIM "
                "need a network whose layers do not depend on the input"
            )

    def distances(self) -> Tensor:
        """Return how far each unit is from ReLU on [-3, 3], in L1 (Fig. S1), ``(units,)``."""
        with torch.no_grad():
            x = torch.linspace(-3, 3, 601, dtype=torch.float64, device=self.numerator.device)
            pairs = zip(self.numerator.double(), self.denominator.double(), strict=True)
            gaps = [(pade_activation(x, *pair) - x.relu()).abs() for pair in pairs]
            return torch.stack([torch.trapezoid(gap, x) for gap in gaps])


def count_relus(run: Callable[[], Any]) -> int:
    """Count the ReLUs that ``run`` computes."""
    mode = _Replacing(lambda site, x: F.relu(x))
    with mode:
        run()
    return mode.site


class _Replacing(TorchFunctionMode):
    """Hands each ReLU to ``activation(site, input)``, where ``site`` counts from 0."""

    def __init__(self, activation: Callable[[int, Tensor], Tensor]) -> None:
        super().__init__()
        self.activation = activation
        self.site = 0

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func not in _RELUS:
            return func(*args, **kwargs)
        site, self.site = self.site, self.site + 1
        return self.activation(site, args[0] if args else kwargs["input"])
