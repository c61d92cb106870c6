"""A trained network, and what may be asked of it without data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from avalanche.models import avalanche_forward
from torch import Tensor, nn


@dataclass(frozen=True)
class Drawn:
    """Classes of one task.

    :param task: its task label.
    :param rows: places in :attr:`Trained.labels`, ``(N, M)``.
    :param labels: class ids ``(N, M)``.
    """

    task: int
    rows: Tensor
    labels: Tensor


class Trained:
    """A trained network, the shape of what it takes, and the classes that it knows.

    :param network: in evaluation mode, whose BatchNorm statistics are those of training.
    :param like: an empty batch ``(0, ...)``, for the shape, the type and the device of images.
    :param classes: class ids by task label.
    :param rule_out: what sets the logits of unknown classes to ``ABSENT``, called with a network,
        its logits and task labels.
    :param mean: mean of the values that the network takes.
    :param deviation: standard deviation of these values.
    """

    def __init__(
        self,
        network: nn.Module,
        like: Tensor,
        classes: Mapping[int, Sequence[int]],
        rule_out: Callable[[Any, Any, Any], Any],
        *,
        mean: float,
        deviation: float,
    ) -> None:
        self.network = network
        self.like = like
        self.rule_out = rule_out
        self.mean, self.deviation = mean, deviation
        self.tasks = list(classes)
        known = [torch.tensor(classes[task], dtype=torch.long) for task in self.tasks]
        self._ends = torch.tensor([0, *(len(part) for part in known)]).cumsum(0).tolist()
        self.labels = torch.cat(known).to(like.device)

    def noise(self, count: int) -> Tensor:
        """Draw normal noise in the shape of ``count`` images."""
        return torch.randn((count, *self.like.shape[1:]), device=self.like.device).to(self.like)

    def draw(self, count: int, each: int = 1) -> Drawn:
        """Draw a task, and ``each`` of its classes for each of ``count`` images."""
        place = int(torch.randint(len(self.tasks), ()))
        first, end = self._ends[place : place + 2]
        rows = torch.randint(first, end, (count, each)).to(self.labels.device)
        return Drawn(self.tasks[place], rows, self.labels[rows])

    def logits(self, images: Tensor, task: int, *, network: nn.Module | None = None) -> Tensor:
        """Compute logits of images of mean 0 and deviation 1, in the range that the network takes.

        :param task: the task label of all of them.
        :param network: another one with the same outputs, such as a quantized copy.
        """
        asked = self.network if network is None else network
        tasks = torch.full((len(images),), task, device=images.device)
        output = avalanche_forward(asked, self.mean + self.deviation * images, tasks)
        result: Tensor = self.rule_out(asked, output, tasks)
        return result
