"""Abort training when the loss or a weight becomes NaN, infinite or huge."""

from __future__ import annotations

from typing import Any

import torch
from avalanche.core import SupervisedPlugin
from torch import Tensor

from cl_strategies.errors import DivergedError

#: A loss above this is divergence, though finite: a cross-entropy begins near ``ln(classes)``,
#: and Adam with a step far too large keeps weights finite for ever.
HIGHEST_LOSS = 1e6
#: Likewise for a weight, which the last step of all has made, and no loss shows.
HIGHEST_WEIGHT = 1e9


class FiniteGuard(SupervisedPlugin):
    """Raise :class:`DivergedError` after an epoch with a loss or a trained weight that is not
    finite, or above :data:`HIGHEST_LOSS` and :data:`HIGHEST_WEIGHT`.

    A loss that is not finite leaves weights that are not finite, so one look per epoch is
    enough, and no step waits for the device.
    """

    def after_training_epoch(self, strategy: Any, **kwargs: Any) -> None:
        loss = strategy.loss.detach()
        weights = [p.detach() for p in strategy.model.parameters() if p.requires_grad]
        sizes = torch.stack([t.abs().amax().double() for t in (loss, *weights) if t.numel()])
        largest, heaviest = sizes[0], sizes.new_zeros(1)
        if len(sizes) > 1:
            heaviest = sizes[1:].amax()  # NaN, if there is one
        if bool((largest <= HIGHEST_LOSS) & (heaviest <= HIGHEST_WEIGHT)):
            return
        if not bool(largest <= HIGHEST_LOSS):
            what = f"the loss is {_in_words(largest)}"
        else:
            what = f"a weight is {_in_words(heaviest)}"
        raise DivergedError(
            f"{what} after epoch {strategy.clock.train_exp_epochs + 1} of experience "
            f"{strategy.clock.train_exp_counter}: lower the learning rate or the strength of "
            "the method"
        )


def _in_words(value: Tensor) -> str:
    return f"{float(value):.3g}" if bool(torch.isfinite(value)) else "not finite"
