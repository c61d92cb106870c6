"""Replay of a share of every finished experience, trained on like new data."""

from __future__ import annotations

from typing import Any

import torch
from avalanche.training.plugins import SupervisedPlugin
from torch import Tensor

from cl_strategies.errors import UserError


class RatioReplayPlugin(SupervisedPlugin):
    """Keeps a share of each class of each finished experience and mixes it into later ones.

    The kept samples join ``strategy.adapted_dataset``, so any data path draws them like the new
    ones, each once per epoch. Nothing is drawn anew or dropped later.

    It has no ``state_dict``: a checkpoint of this package writes the data sets in :attr:`data`
    down by their ``sample_ids``, and counts the bytes of the stored images.

    :param ratio: share of each class that is kept, in [0, 1]; rounded, but at least one sample of
        a class unless it is zero.
    :ivar data: position in the stream -> what was kept of that experience.
    :raises UserError: for another ratio.
    """

    def __init__(self, ratio: float = 0.2) -> None:
        super().__init__()
        if not 0 <= ratio <= 1:
            raise UserError(f"ratio is {ratio}: give the share of old data to keep, from 0 to 1")
        self.ratio = ratio
        self.data: dict[int, Any] = {}

    def after_train_dataset_adaptation(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        for data in self.data.values():
            strategy.adapted_dataset = strategy.adapted_dataset.concat(data.train())

    def after_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        data = strategy.experience.dataset
        rows = choose(torch.as_tensor(list(data.targets)), self.ratio)
        if len(rows):
            position = int(strategy.experience.current_experience)
            self.data[position] = data.subset(rows.tolist())


def choose(labels: Tensor, ratio: float) -> Tensor:
    """Rows of a random share of each class, in ascending order.

    :param labels: ``(N,)`` class ids.
    :param ratio: share, from 0 to 1.
    :returns: int64; drawn by torch's generator.
    """
    rows = []
    for label in labels.unique():
        of_class = (labels == label).nonzero().flatten()
        count = max(round(ratio * len(of_class)), 1) if ratio else 0
        rows.append(of_class[torch.randperm(len(of_class))[:count]])
    return torch.cat(rows).sort().values if rows else torch.zeros(0, dtype=torch.int64)
