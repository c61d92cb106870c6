"""Averaged gradient episodic memory."""

from __future__ import annotations

from typing import Any

import torch
from avalanche.benchmarks.utils.data_loader import GroupBalancedInfiniteDataLoader
from avalanche.benchmarks.utils.utils import concat_datasets
from avalanche.training.plugins import AGEMPlugin

from cl_strategies.plugins.exemplars.coverage import Coverage
from cl_strategies.plugins.exemplars.source import labels_of
from cl_strategies.plugins.seen_classes import unseen_ruled_out
from cl_strategies.ranges import positive
from cl_strategies.strategies.base import Strategy


class AGEM(Strategy):
    """A-GEM (Chaudhry et al., ICLR 2019).

    :param patterns_per_experience: samples kept of each experience.
    :param sample_size: samples drawn from the memory for each reference gradient, in equal
        parts from each experience.
    :raises UserError: for an option out of its range.
    """

    def __init__(
        self, *, patterns_per_experience: int = 250, sample_size: int = 256, **template: Any
    ) -> None:
        positive(patterns_per_experience=patterns_per_experience, sample_size=sample_size)
        plugin = ShufflingAGEMPlugin(patterns_per_experience, sample_size)
        super().__init__(method=[plugin], **template)


class ShufflingAGEMPlugin(AGEMPlugin):
    """Avalanche's A-GEM with three repairs.

    * The memory is drawn at random, as in the paper; Avalanche runs through it in order.
    * The draws begin anew with each experience, so that an interrupted run can continue them.
    * With more experiences in memory than ``sample_size`` it draws from the whole memory;
      Avalanche then asks for batches of size 0 and fails.
    """

    def __init__(self, patterns_per_experience: int, sample_size: int) -> None:
        super().__init__(patterns_per_experience, sample_size)
        self.coverage = Coverage()

    def before_training_exp(
        self, strategy: Any, *args: Any, num_workers: int = 0, **kwargs: Any
    ) -> None:
        if not self.buffers:
            return
        share = self.sample_size // len(self.buffers)
        self.buffer_dataloader = GroupBalancedInfiniteDataLoader(
            self.buffers if share else [concat_datasets(self.buffers)],
            batch_size=share or self.sample_size,
            shuffle=True,
            num_workers=num_workers,
        )
        self.buffer_dliter = iter(self.buffer_dataloader)

    def before_training_iteration(self, strategy: Any, **kwargs: Any) -> None:
        """Compute the reference gradient, over the classes seen so far."""
        with unseen_ruled_out(strategy):
            super().before_training_iteration(strategy, **kwargs)

    def after_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        super().after_training_exp(strategy, **kwargs)
        self.reference_gradients = torch.empty(0)

    @torch.no_grad()
    def update_memory(self, dataset: Any, *args: Any, **kwargs: Any) -> None:
        """Keep a random part of ``dataset``."""
        kept = torch.randperm(len(dataset))[: self.patterns_per_experience].tolist()
        labels, _ = labels_of(dataset)
        size = f"{self.patterns_per_experience} samples per experience"
        self.coverage.check(labels, [labels[row] for row in kept], size)
        self.buffers.append(dataset.subset(kept))
        self.buffer_dataloader, self.buffer_dliter = None, iter([])
