"""Images and convolutions with the channels as the fastest dimension in memory."""

from __future__ import annotations

from typing import Any

import torch
from avalanche.training.plugins import SupervisedPlugin

from cl_strategies.plugins.protocols.training import TrainingStrategy


class ChannelsLastPlugin(SupervisedPlugin):
    """Keep the network's 4-dimensional weights, and the batches, in channels-last format.

    Convolutions are faster this way on GPUs with tensor cores and on many processors, bfloat16
    ones above all. Shapes, parameters and checkpoints are as before; results differ by rounding,
    because sums are taken in another order.
    """

    def before_training_exp(self, strategy: TrainingStrategy, **kwargs: Any) -> None:
        strategy.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def before_eval(self, strategy: TrainingStrategy, **kwargs: Any) -> None:
        strategy.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def before_forward(self, strategy: TrainingStrategy, **kwargs: Any) -> None:
        x = strategy.mbatch[0]
        if isinstance(x, torch.Tensor) and x.ndim == 4:
            strategy.mbatch[0] = x.contiguous(memory_format=torch.channels_last)

    before_eval_forward = before_forward

    def state_dict(self) -> dict[str, Any]:
        """Return an empty state: the plugin holds none."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Do nothing: there is no state."""
