"""The mean feature of each class among the images made so far."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from cl_strategies.errors import UserError
from cl_strategies.plugins.data_free.trained import Trained
from cl_strategies.plugins.features.extraction import calls, last_layer
from cl_strategies.plugins.features.named_layer import feature_layer


class ClassFeatures:
    """Means of features by class.

    :param classes: number of classes.
    """

    def __init__(self, classes: int) -> None:
        self.counts = torch.zeros(classes)
        self.sums: Tensor | None = None

    def add(self, rows: Tensor, features: Tensor) -> None:
        """Count features ``(N, d)`` in for the classes ``rows`` ``(N,)``."""
        if self.sums is None:
            self.counts = self.counts.to(features)
            self.sums = features.new_zeros(len(self.counts), features.shape[1])
        self.counts.index_add_(0, rows, torch.ones_like(features[:, 0]))
        self.sums.index_add_(0, rows, features)

    def of(self, rows: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean of each row's class in the shape of ``like``, and whether there is
        one."""
        if self.sums is None:
            return torch.ones_like(like), torch.zeros_like(rows, dtype=torch.bool)
        counts = self.counts[rows]
        return self.sums[rows] / counts.clamp_min(1)[:, None], counts > 0


class Latest:
    """The features ``(N, d)`` of the last forward pass."""

    def __init__(self) -> None:
        self.latest = torch.empty(0)


@contextmanager
def watching_features(trained: Trained) -> Iterator[Latest]:
    """Note the features of a network within the context: what its backbone puts out, or what its
    last layer is given.

    :raises UserError: if there is neither.
    """
    noted = Latest()
    network = trained.network

    def output(module: nn.Module, inputs: tuple[Any, ...], result: Tensor) -> None:
        noted.latest = result.flatten(1)

    def given(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        noted.latest = inputs[0].flatten(1)

    try:
        handle = feature_layer(network, "").register_forward_hook(output)
    except UserError:
        task = trained.draw(1).task
        with torch.no_grad():
            seen = calls(network, lambda: trained.logits(trained.noise(2), task))
        layer = last_layer(seen)
        if layer is None:
            raise
        handle = layer.register_forward_pre_hook(given)
    try:
        yield noted
    finally:
        handle.remove()
