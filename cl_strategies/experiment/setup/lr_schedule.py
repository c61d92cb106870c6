"""A learning rate that falls while an experience is trained, and begins anew with the next."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from avalanche.core import SupervisedPlugin

_FIRST = "first_lr"  # of a group, while an experience is trained


def learning_rate_factor(
    schedule: str, epoch: float, epochs: int, *, milestones: Sequence[int] = (), gamma: float = 0.1
) -> float:
    """By what the first learning rate is multiplied in an epoch.

    :param schedule: ``"cosine"`` falls to 0 along half a cosine (PyTorch's ``CosineAnnealingLR``),
        ``"step"`` is multiplied by ``gamma`` at each of ``milestones`` (``MultiStepLR``).
    :param epoch: from 0; a fraction between two epochs.
    :param epochs: of an experience.

    >>> [round(learning_rate_factor("cosine", epoch, 4), 3) for epoch in range(4)]
    [1.0, 0.854, 0.5, 0.146]
    >>> learning_rate_factor("step", 8, 10, milestones=[5, 8], gamma=0.5)
    0.25
    """
    if schedule == "cosine":
        return (1 + math.cos(math.pi * min(epoch, epochs) / epochs)) / 2
    if schedule == "step":
        return math.prod(gamma for milestone in milestones if epoch >= milestone)
    return 1.0


class LearningRateSchedule(SupervisedPlugin):
    """Sets the learning rate of every group of parameters before each epoch.

    It is a function of the epoch alone, so that nothing has to be kept between experiences; a
    strategy that builds its optimizer anew in the middle of an experience goes on with it.
    """

    def __init__(
        self, schedule: str, *, milestones: Sequence[int] = (), gamma: float = 0.1
    ) -> None:
        super().__init__()
        self.schedule, self.milestones, self.gamma = schedule, tuple(milestones), gamma

    def before_training_epoch(self, strategy: Any, **kwargs: Any) -> None:
        """Set the rates of this epoch."""
        factor = self._factor(strategy, strategy.clock.train_exp_epochs)
        for group in strategy.optimizer.param_groups:
            group["lr"] = group.setdefault(_FIRST, group["lr"]) * factor

    def factor_at(self, strategy: Any, share: float) -> float:
        """By what the first rate is multiplied when ``share`` of an experience's epochs is over."""
        return self._factor(strategy, share * strategy.train_epochs)

    def _factor(self, strategy: Any, epoch: float) -> float:
        return learning_rate_factor(
            self.schedule,
            epoch,
            strategy.train_epochs,
            milestones=self.milestones,
            gamma=self.gamma,
        )

    def after_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        """Give every group its first rate back."""
        for group in strategy.optimizer.param_groups:
            group["lr"] = group.pop(_FIRST, group["lr"])


class ExponentialSchedule(LearningRateSchedule):
    """Multiplies the learning rates at every mini-batch, as PyTorch's ``ExponentialLR`` stepped
    in each iteration.

    A strategy that goes on with other parameters in the middle of an experience, with an optimizer
    that begins anew, begins this anew, too: as when HALRP's warm-up is over, whose authors make a
    scheduler with each optimizer.
    """

    def __init__(self, *, gamma: float) -> None:
        super().__init__("exponential", gamma=gamma)
        self._steps = 0
        self._trained: list[Any] = []

    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        """Begin anew."""
        self._steps, self._trained = 0, []

    def before_training_epoch(self, strategy: Any, **kwargs: Any) -> None:
        """Do nothing: rates are set before each mini-batch."""

    def before_training_iteration(self, strategy: Any, **kwargs: Any) -> None:
        """Set the rates of this mini-batch."""
        groups = strategy.optimizer.param_groups
        trained = [parameter for group in groups for parameter in group["params"]]
        if [*map(id, trained)] != [*map(id, self._trained)]:
            self._steps, self._trained = 0, trained
        for group in groups:
            group["lr"] = group.setdefault(_FIRST, group["lr"]) * self.gamma**self._steps
        self._steps += 1

    def _factor(self, strategy: Any, epoch: float) -> float:
        return float(self.gamma ** (epoch * len(strategy.dataloader)))

    def after_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        super().after_training_exp(strategy, **kwargs)
        self._steps, self._trained = 0, []
