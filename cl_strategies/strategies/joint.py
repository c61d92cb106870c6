"""Training on the whole stream at once: the upper bound without a stream."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from avalanche.models.dynamic_modules import avalanche_model_adaptation
from avalanche.training.supervised import JointTraining
from torch import nn

from cl_strategies.strategies.templates.base import Strategy


class Joint(Strategy, JointTraining):
    """Offline training: call ``train`` once, with the whole stream.

    Avalanche's ``JointTraining`` keeps the last mini-batch and data loader after training,
    and lets every dynamic module adapt itself, even one that belongs to another (the heads of
    a multi-head then grow for the classes of all tasks); neither happens here.
    """

    trains_jointly = True

    def train(self, experiences: Any, eval_streams: Any = None, **kwargs: Any) -> Any:
        """Train on all ``experiences`` together.

        :raises AlreadyTrainedError: (Avalanche's) on a second call.
        """
        several = experiences if isinstance(experiences, Iterable) else [experiences]
        whole = [self.check_experience(experience) for experience in several]
        metrics = super().train(whole, eval_streams, **kwargs)
        self._train_cleanup()
        return metrics

    def model_adaptation(self, model: nn.Module | None = None) -> nn.Module:
        model = self.model if model is None else model
        whole = self._experiences if self.is_training else ()
        for experience in whole or [self.experience]:
            avalanche_model_adaptation(model, experience)
        return model.to(self.device)
