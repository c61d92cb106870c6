"""Replay of a share of every finished experience, trained on like new data."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge, Le
from avalanche.training.plugins import SupervisedPlugin
from torch import Tensor
from typing_extensions import Doc

from cl_strategies.plugins.protocols.training import TrainingStrategy
from cl_strategies.validation.hyperparameters import hyperparameters


@hyperparameters
class RatioReplayPlugin(SupervisedPlugin):
    """Keep a share of each class of each finished experience and mix it into later ones.

    The kept samples join ``strategy.adapted_dataset``, so any data path draws them like the new
    ones, each once per epoch. Nothing is drawn anew or dropped later.

    It has no ``state_dict``: a checkpoint of this package writes the data sets in :attr:`data`
    down by their ``sample_ids``, and counts the bytes of the stored images.

    :ivar data: position in the stream -> the samples that were kept of that experience.
    :raises UserError: for an option out of its range.
    """

    first_by_position: ClassVar[str] = "replay_ratio"

    def __init__(
        self,
        *,
        replay_ratio: Annotated[
            float,
            Ge(0),
            Le(1),
            Doc(
                "Share of each class of old data that is kept and trained on again; rounded, but "
                "at least one sample of a class unless it is 0."
            ),
        ] = 0.2,
    ) -> None:
        super().__init__()
        self.replay_ratio = replay_ratio
        self.data: dict[int, Any] = {}

    def after_train_dataset_adaptation(
        self, strategy: TrainingStrategy, *args: Any, **kwargs: Any
    ) -> None:
        for data in self.data.values():
            strategy.adapted_dataset = strategy.adapted_dataset.concat(data.train())

    def after_training_exp(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        data = strategy.experience.dataset
        rows = choose(torch.as_tensor(list(data.targets)), self.replay_ratio)
        if len(rows):
            position = int(strategy.experience.current_experience)
            self.data[position] = data.subset(rows.tolist())


def choose(labels: Tensor, ratio: float) -> Tensor:
    """Draw the rows of a random share of each class, in ascending order, by torch's generator.

    :param labels: ``(N,)`` class ids.
    :param ratio: share, from 0 to 1.
    :returns: int64 rows.
    """
    rows = []
    for label in labels.unique():
        of_class = (labels == label).nonzero().flatten()
        count = max(round(ratio * len(of_class)), 1) if ratio else 0
        rows.append(of_class[torch.randperm(len(of_class))[:count]])
    return torch.cat(rows).sort().values if rows else torch.zeros(0, dtype=torch.int64)
