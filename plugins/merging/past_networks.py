"""What is kept of the networks of finished experiences: their mean, whatever their number."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from cl_strategies.errors import UserError
from cl_strategies.plugins.merging.functional import share_of_last
from cl_strategies.plugins.regularization.flat_tensors import copy_into_corner


class PastNetworks:
    """The mean of each tensor over networks, weighted by precision, and what the mean weighs.

    Adding a network costs the same after a hundred as after one. A tensor may grow between two
    networks: one that lacks an element, or the whole tensor, has no part in its mean. What is
    equal in all networks stays what it is, in every bit.

    Of precisions the sum is kept. Where they are 1 everywhere, which elements of a tensor a number
    of networks had is known by its shapes, and takes no memory.

    :ivar count: number of networks.
    """

    def __init__(self) -> None:
        self.count = 0
        self._means: dict[str, Tensor] = {}
        self._masses: dict[str, Tensor] = {}
        self._shapes: dict[str, dict[tuple[int, ...], int]] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._means

    def names(self) -> set[str]:
        """Return the names of the tensors of which there is a mean."""
        return set(self._means)

    def add(self, values: Mapping[str, Tensor], precisions: Mapping[str, Tensor]) -> None:
        """Take one more network into the mean.

        :param values: its tensors by name, those that all of this is about.
        :param precisions: of those that are not weighed alike, of the same shapes.
        :raises UserError: if a tensor shrank, or if none of the known ones is among them.
        """
        self.check(values)
        for name, value in values.items():
            precision = precisions.get(name)
            mean = self._mean(name, value)
            mass = self._mass(name, mean, weighed=precision is not None)
            new = torch.ones_like(mass) if precision is None else precision.to(mean)
            total = mass + new
            share = torch.where(total > 0, new / total, torch.ones_like(total))
            self._means[name] = torch.lerp(mean, value.to(mean), share)
            if precision is None:
                shapes = self._shapes.setdefault(name, {})
                shapes[tuple(value.shape)] = shapes.get(tuple(value.shape), 0) + 1
            else:
                self._masses[name] = total
        self.count += 1

    def merged(
        self, name: str, value: Tensor, precision: Tensor | None, *, alpha: float | None
    ) -> Tensor:
        """Merge a tensor of the last network with those before it.

        :param value: in the last network.
        :param precision: of it there; ``None`` where none are kept.
        :param alpha: weight of the last network, see
            :func:`~cl_strategies.plugins.merging.functional.merge_weights`.
        :return: shape and type of ``value``.
        """
        mean = self._mean(name, value)
        mass = self._mass(name, mean, weighed=precision is not None)
        new = torch.ones_like(mass) if precision is None else precision.to(mean)
        share = share_of_last(mass, new, networks=self.count + 1, alpha=alpha)
        return torch.lerp(mean, value.to(mean), share).to(value)

    def check(self, values: Mapping[str, Tensor]) -> None:
        """:raises UserError: if none of the known tensors is among ``values``."""
        if self._means and self._means.keys().isdisjoint(values):
            raise UserError(
                f"none of the {len(self._means)} parameters that earlier networks had "
                f"({', '.join(sorted(self._means)[:3])}...) is in the model "
                f"({', '.join(sorted(values)[:3])}...): was it replaced or wrapped between two "
                "experiences? Keep the names of its parameters"
            )

    def state_dict(self) -> dict[str, Any]:
        """Return tensors by name, copied, and plain data."""
        shapes = {name: list(known.items()) for name, known in self._shapes.items()}
        return {
            "count": self.count,
            "means": {name: mean.clone() for name, mean in self._means.items()},
            "masses": {name: mass.clone() for name, mass in self._masses.items()},
            "shapes": json.dumps(shapes),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Replace everything by what :meth:`state_dict` returned."""
        self.count = int(state["count"])
        self._means = {name: mean.clone() for name, mean in state["means"].items()}
        self._masses = {name: mass.clone() for name, mass in state["masses"].items()}
        self._shapes = {
            name: {tuple(shape): int(number) for shape, number in known}
            for name, known in json.loads(state["shapes"]).items()
        }

    def _mean(self, name: str, value: Tensor) -> Tensor:
        """Return the mean in the shape of ``value``; zeros in what no network had."""
        double = value.dtype == torch.float64
        mean = torch.zeros_like(value, dtype=torch.float64 if double else torch.float32)
        if name in self._means:
            copy_into_corner(mean, self._means[name], name=name)
        return mean

    def _mass(self, name: str, mean: Tensor, *, weighed: bool) -> Tensor:
        """Return what ``mean`` weighs, elementwise; one number where all weigh alike."""
        if weighed:
            mass = torch.zeros_like(mean)
            if name in self._masses:
                copy_into_corner(mass, self._masses[name], name=name)
            return mass
        known = self._shapes.get(name, {})
        if set(known) <= {tuple(mean.shape)}:
            return torch.tensor(float(sum(known.values())), dtype=mean.dtype, device=mean.device)
        mass = torch.zeros_like(mean)
        for shape, number in known.items():
            mass[tuple(slice(length) for length in shape)] += number
        return mass
