"""Stops a run whose numbers have left the real line."""

from __future__ import annotations

from typing import Any

import torch
from avalanche.core import SupervisedPlugin

from cl_strategies.errors import DivergedError

#: A loss above this is divergence, though finite: a cross-entropy begins near ``ln(classes)``,
#: and Adam with a step far too large keeps weights finite for ever.
HIGHEST_LOSS = 1e6


class FiniteGuard(SupervisedPlugin):
    """Raises :class:`~cl_strategies.errors.DivergedError` after an epoch with a loss or a
    weight that is not finite, or a loss above :data:`HIGHEST_LOSS`.

    A loss that is not finite leaves weights that are not finite, so one look per epoch is
    enough, and no step waits for the device.
    """

    def after_training_epoch(self, strategy: Any, **kwargs: Any) -> None:
        loss = strategy.loss.detach()
        weights = [p.detach() for p in strategy.model.parameters()]
        finite = torch.stack([torch.isfinite(tensor).all() for tensor in (loss, *weights)])
        low = (loss <= HIGHEST_LOSS).all().reshape(1)
        if bool(torch.cat([low, finite]).all()):
            return
        if not bool(finite[0]):
            what = "the loss is not finite"
        elif not bool(low):
            what = f"the loss is {float(loss):.3g}"
        else:
            what = "a weight is not finite"
        raise DivergedError(
            f"{what} after epoch {strategy.clock.train_exp_epochs + 1} of experience "
            f"{strategy.clock.train_exp_counter}: lower the learning rate or the strength of "
            "the method"
        )
