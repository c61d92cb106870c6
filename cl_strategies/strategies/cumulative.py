"""Training on everything seen so far: the upper bound that still sees a stream."""

from __future__ import annotations

from typing import Any

from avalanche.training.supervised import Cumulative as AvalancheCumulative

from cl_strategies.strategies.templates.base import Strategy


class Cumulative(Strategy, AvalancheCumulative):
    """At each experience, go on training with the data of all experiences so far."""

    def train_dataset_adaptation(self, **kwargs: Any) -> None:
        super().train_dataset_adaptation(**kwargs)
        self.adapted_dataset = self.dataset.train()
