"""Stops a run whose numbers have left the real line."""

from __future__ import annotations

from typing import Any

import torch
from avalanche.core import SupervisedPlugin

from cl_strategies.errors import DivergedError


class FiniteGuard(SupervisedPlugin):
    """Raises :class:`~cl_strategies.errors.DivergedError` after an epoch with a loss or a
    weight that is not finite.

    A loss that is not finite leaves weights that are not finite, so one look per epoch is
    enough, and no step waits for the device.
    """

    def after_training_epoch(self, strategy: Any, **kwargs: Any) -> None:
        suspects = [strategy.loss.detach(), *(p.detach() for p in strategy.model.parameters())]
        finite = torch.stack([torch.isfinite(tensor).all() for tensor in suspects])
        if not bool(finite.all()):
            what = "a weight" if bool(finite[0]) else "the loss"
            raise DivergedError(
                f"{what} is not finite after epoch {strategy.clock.train_exp_epochs + 1} of "
                f"experience {strategy.clock.train_exp_counter}: lower the learning rate or the "
                "strength of the method"
            )
