"""GDumb: greedy sampler and dumb learner (Prabhu et al., ECCV 2020)."""

from __future__ import annotations

from typing import Any

from avalanche.training.plugins import GDumbPlugin as AvalancheGDumbPlugin

from cl_strategies.plugins.features.modes import take_over
from cl_strategies.plugins.protocols.training import TrainingStrategy
from cl_strategies.plugins.rehearsal.memories import OrderedClassBalancedBuffer
from cl_strategies.plugins.rehearsal.options import MemSize
from cl_strategies.validation.hyperparameters import hyperparameters


@hyperparameters
class GDumbPlugin(AvalancheGDumbPlugin):
    """Train from scratch on a class-balanced memory at each experience.

    Avalanche's GDumb without its adaptation of the initial model while evaluating.

    The initial model is kept in training mode, so that heads would grow for the classes of
    whatever is evaluated. The model that begins an experience takes over the modes of the last.
    """

    def __init__(self, *, mem_size: MemSize = 200) -> None:
        super().__init__(mem_size)
        self.storage_policy = OrderedClassBalancedBuffer(mem_size)

    def before_train_dataset_adaptation(
        self, strategy: TrainingStrategy, *args: Any, **kwargs: Any
    ) -> None:
        last = strategy.model
        super().before_train_dataset_adaptation(strategy, **kwargs)
        take_over(strategy.model, last)

    def after_train_dataset_adaptation(
        self, strategy: TrainingStrategy, *args: Any, **kwargs: Any
    ) -> None:
        self.storage_policy.post_adapt(strategy, strategy.experience)
        strategy.adapted_dataset = self.storage_policy.buffer

    def before_eval_dataset_adaptation(
        self, strategy: TrainingStrategy, *args: Any, **kwargs: Any
    ) -> None:
        """Nothing: evaluation adapts the strategy's own model only."""
