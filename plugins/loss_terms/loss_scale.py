"""The factor between the gradients that a backward pass leaves and those of the loss."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.amp import GradScaler
from torch.amp.grad_scaler import OptState

from cl_strategies.errors import UserError
from cl_strategies.plugins.protocols.training import TrainingStrategy


def find_scalers(strategy: TrainingStrategy) -> list[GradScaler]:
    """Find the enabled gradient scalers among the attributes of a strategy and its plugins."""
    found: dict[int, GradScaler] = {}
    for holder in (strategy, *strategy.plugins):
        for value in _attributes(holder):
            if isinstance(value, GradScaler) and value.is_enabled():
                found[id(value)] = value
    return list(found.values())


def _attributes(holder: Any) -> Iterator[Any]:
    yield from getattr(holder, "__dict__", {}).values()
    for base in type(holder).__mro__:
        yield from vars(base).values()


class LossScale:
    """Find the scale of the gradients between a backward pass and the optimizer's step.

    A gradient scaler that multiplies the loss in ``backward()`` divides the gradients again in
    ``optimizer_step()``. Gradients that a method captures or adds in between need the factor.
    """

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Look for scalers anew in the next backward pass: at the start of an experience."""
        self._scalers: list[GradScaler] | None = None
        self._probe: Tensor | None = None

    def before_backward(self, strategy: TrainingStrategy) -> None:
        """Add a zero to the first loss of an experience, whose gradient is the factor."""
        loss = strategy.loss
        if self._scalers is None and isinstance(loss, Tensor) and loss.requires_grad:
            self._probe = torch.zeros_like(loss, requires_grad=True)
            strategy.loss = loss + self._probe

    def after_backward(self, strategy: TrainingStrategy) -> float:
        """Return the scale of the gradients; 1 without a scaler, or once it has unscaled them.

        :raises UserError: if ``backward()`` multiplies the loss and it is not known by what, or if
            there are several scalers.
        """
        if self._scalers is None:
            self._scalers = find_scalers(strategy)
        # A scaler that has never scaled anything has no scale yet.
        used = [s for s in self._scalers if s._get_scale_async() is not None]
        if len(used) > 1:
            raise UserError(
                f"the strategy and its plugins hold {len(used)} gradient scalers, so that the "
                "scale of the gradients cannot be told: use one"
            )
        probe, self._probe = self._probe, None
        if not used:
            _check_plain(probe)
            return 1.0
        (scaler,) = used
        state = scaler._per_optimizer_states.get(id(strategy.optimizer), {})
        return 1.0 if state.get("stage") is OptState.UNSCALED else scaler.get_scale()

    def state_dict(self) -> dict[str, Any]:
        """Return an empty state: nothing is kept between experiences."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Do nothing: there is no state."""


def _check_plain(probe: Tensor | None) -> None:
    """Check that no unknown scaler multiplied the loss.

    A factor below 1 is the share of a mini-batch in a step; one above it is that of a scaler.
    """
    if probe is None or probe.grad is None:
        return
    factor = float(probe.grad)
    if not factor <= 1 + 1e-6:
        raise UserError(
            f"backward() multiplies the loss by {factor:g}, and neither the strategy nor a plugin "
            "holds a torch.amp.GradScaler in use: gradients that are captured, or penalties that "
            "are added, would be wrong by that factor. Keep the scaler as an attribute of the "
            "strategy, or unscale the gradients in backward()"
        )
