"""Gradients added once per step of the optimizer, however many backward passes lead to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from cl_strategies.errors import UserError

_MARK = "_added_gradients"


class AddedGradient:
    """Add the gradient of one method's penalty in such a way that it can be removed again.

    Call :meth:`take_out` before each backward pass and :meth:`add` after it. Between the two,
    ``.grad`` holds the gradient of the loss alone, summed over the backward passes since the
    gradients were set to zero; after :meth:`add` it holds the addition exactly once.

    A mark on the gradient tells whether the addition is still in it, and its version whether
    something else has changed it since; neither is lost or copied with the tensor.
    """

    def __init__(self) -> None:
        self._parts: list[tuple[Tensor, Tensor]] = []
        self._factor = 1.0

    @torch.no_grad()
    def add(self, parameters: Sequence[Tensor], amounts: Sequence[Tensor], factor: float) -> None:
        """Add ``factor * amounts`` to the gradients.

        :param parameters: Parameters that have a gradient.
        :param amounts: Amount to add for each; it must not change until :meth:`take_out`.
        :param factor: Factor of all amounts.
        """
        gradients = [p.grad for p in parameters if p.grad is not None]
        owners = [_owners(gradient) for gradient in gradients]
        if gradients:
            torch._foreach_add_(gradients, list(amounts), alpha=factor)
        for gradient, others in zip(gradients, owners, strict=True):
            setattr(gradient, _MARK, (gradient._version, others | {id(self)}))
        self._parts = list(zip(parameters, amounts, strict=True))
        self._factor = factor

    @torch.no_grad()
    def take_out(self) -> None:
        """Subtract the last addition from the gradients that still hold it.

        :raises UserError: if other code has changed such a gradient.
        """
        gradients, amounts, owners = [], [], []
        for parameter, amount in self._parts:
            gradient = parameter.grad
            if gradient is None or id(self) not in getattr(gradient, _MARK, (0, ()))[1]:
                continue
            known = _owners(gradient)
            if known:
                gradients.append(gradient)
                amounts.append(amount)
                owners.append(known)
            elif bool(gradient.any()):
                raise UserError(
                    "something changed the gradients between two backward passes that lead to "
                    "one step of the optimizer, so that the penalty in them cannot be told from "
                    "the rest: change gradients (clipping) in before_update or optimizer_step, "
                    "or set them to zero before each backward pass"
                )
        if gradients:
            torch._foreach_sub_(gradients, amounts, alpha=self._factor)
        for gradient, others in zip(gradients, owners, strict=True):
            setattr(gradient, _MARK, (gradient._version, others - {id(self)}))
        self._parts = []

    def state_dict(self) -> dict[str, Any]:
        """Return an empty state: nothing is kept between experiences."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Do nothing: there is no state."""


class PassCounter:
    """Count the backward passes that lead to a step of the optimizer in an experience."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Start counting anew."""
        self.per_step = 1
        self._since_step = 0

    def after_backward(self) -> None:
        """Count a backward pass."""
        self._since_step += 1

    def after_update(self) -> None:
        """Count a step of the optimizer."""
        self.per_step, self._since_step = max(self.per_step, self._since_step), 0

    def state_dict(self) -> dict[str, Any]:
        """Return an empty state: nothing is kept between experiences."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Do nothing: there is no state."""


def _owners(gradient: Tensor) -> frozenset[int]:
    """Return whose additions ``gradient`` holds; none once something else has changed it."""
    version, owners = getattr(gradient, _MARK, (-1, frozenset()))
    return owners if version == gradient._version else frozenset()
