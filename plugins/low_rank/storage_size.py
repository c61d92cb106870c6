"""Counting what a task stores."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from cl_strategies.plugins.low_rank.layers import Factors, FreeWeights


@dataclass(frozen=True)
class LayerRank:
    """The rank of one layer of a task.

    :param selected: what the rule of the paper chose (Eq. 11).
    :param kept: what the layer has; less where the size of a task is capped.
    """

    selected: int
    kept: int


@dataclass(frozen=True, kw_only=True)
class TaskSize:
    """Numbers that a task stores besides the base network.

    :param scales: rows and columns.
    :param low_rank: entries of the low-rank factors that are not zero.
    :param free: free weights of a task that is warming up.
    :param biases: biases of the perturbed layers; the authors' code leaves them out.
    :param norms: parameters of the normalizations.
    :param statistics: running statistics; the authors' code leaves them out.
    :param head: the classifier.
    """

    scales: int
    low_rank: int
    free: int
    biases: int
    norms: int
    statistics: int
    head: int

    @property
    def total(self) -> int:
        """Sum of all the parts."""
        parts = (self.scales, self.low_rank, self.free, self.biases)
        return sum(parts) + self.norms + self.statistics + self.head


def task_size(
    entries: Iterable[Any], norms: Iterable[nn.Module], heads: Iterable[nn.Module]
) -> TaskSize:
    """Count the numbers that one task stores."""
    entries, norms = list(entries), list(norms)
    factors = [entry for entry in entries if isinstance(entry, Factors)]
    free = [entry for entry in entries if isinstance(entry, FreeWeights)]
    buffers = [b for norm in norms for b in norm.buffers() if b.is_floating_point()]
    return TaskSize(
        scales=sum(f.row.numel() + f.column.numel() for f in factors),
        low_rank=sum(int(torch.count_nonzero(t)) for f in factors for t in (f.left, f.right)),
        free=sum(entry.weight.numel() for entry in free),
        biases=sum(entry.bias.numel() for entry in entries if entry.bias is not None),
        norms=sum(p.numel() for norm in norms for p in norm.parameters()),
        statistics=sum(buffer.numel() for buffer in buffers),
        head=sum(p.numel() for head in heads for p in head.parameters()),
    )
