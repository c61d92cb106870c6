"""GDumb: greedy sampler and dumb learner."""

from __future__ import annotations

from typing import Any

from avalanche.training.plugins import GDumbPlugin

from cl_strategies.plugins.modes import take_over
from cl_strategies.ranges import positive
from cl_strategies.strategies.base import Strategy
from cl_strategies.strategies.buffers import OrderedClassBalancedBuffer


class GDumb(Strategy):
    """Train from scratch on a class-balanced memory at each experience (Prabhu et al., ECCV 2020).

    :param mem_size: samples in the memory, over all classes.
    :raises UserError: for an option out of its range.
    """

    def __init__(self, *, mem_size: int = 200, **template: Any) -> None:
        positive(mem_size=mem_size)
        plugin = TrainOnlyGDumbPlugin(mem_size)
        plugin.storage_policy = OrderedClassBalancedBuffer(mem_size)
        super().__init__(method=[plugin], **template)


class TrainOnlyGDumbPlugin(GDumbPlugin):
    """Avalanche's GDumb without its adaptation of the initial model while evaluating.

    The initial model is kept in training mode, so that heads would grow for the classes of
    whatever is evaluated. The model that begins an experience takes over the modes of the last.
    """

    def before_train_dataset_adaptation(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        last = strategy.model
        super().before_train_dataset_adaptation(strategy, **kwargs)
        take_over(strategy.model, last)

    def after_train_dataset_adaptation(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        self.storage_policy.post_adapt(strategy, strategy.experience)
        strategy.adapted_dataset = self.storage_policy.buffer

    def before_eval_dataset_adaptation(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing: evaluation adapts the strategy's own model only."""
