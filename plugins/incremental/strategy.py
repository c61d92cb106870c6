"""What a class-incremental method needs of the strategy that it is plugged into."""

from __future__ import annotations

from typing import Any, Protocol

from cl_strategies.plugins.protocols.training import TrainingStrategy


class IncrementalStrategy(TrainingStrategy, Protocol):
    """A strategy with a network that grows, a method and a memory of exemplars.

    :ivar model: The network of the method.
    :ivar learner: The method.
    :ivar memory: The plugin that stores and replays exemplars.
    :ivar initial_options: The optimizer's options at the start of each experience.
    :ivar experience_rates: Learning rates that the epochs of the experience had so far.
    """

    model: Any
    learner: Any
    memory: Any
    experience_rates: list[float]

    @property
    def initial_options(self) -> dict[str, Any]: ...
