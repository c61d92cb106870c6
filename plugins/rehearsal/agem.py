"""Averaged gradient episodic memory (Chaudhry et al., ICLR 2019)."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from annotated_types import Ge, Unit
from avalanche.benchmarks.utils.data_loader import GroupBalancedInfiniteDataLoader
from avalanche.benchmarks.utils.utils import concat_datasets
from avalanche.models import avalanche_forward
from avalanche.training.plugins import AGEMPlugin as AvalancheAGEMPlugin
from typing_extensions import Doc

from cl_strategies.plugins.classes.seen_classes import unseen_ruled_out
from cl_strategies.plugins.exemplars.buffer.avalanche_data import labels_of
from cl_strategies.plugins.exemplars.buffer.class_coverage import Coverage
from cl_strategies.plugins.loss_terms.added_gradient import AddedGradient
from cl_strategies.plugins.protocols.training import TrainingStrategy
from cl_strategies.validation.hyperparameters import hyperparameters


@hyperparameters
class AGEMPlugin(AvalancheAGEMPlugin):
    """Project gradients that would raise the loss on a memory: Avalanche's A-GEM, repaired.

    * The memory is drawn at random, as in the paper; Avalanche runs through it in order.
    * The draws begin anew with each experience, so that an interrupted run can continue them.
    * With more experiences in memory than ``sample_size`` it draws from the whole memory;
      Avalanche then asks for batches of size 0 and fails.
    * Gradients may accumulate over mini-batches: Avalanche discards what was there and projects
      each part. Here there is one reference gradient for a step of the optimizer, and the sum of
      all parts is projected.
    * Modules stay in their modes; Avalanche's pass over the memory puts all of them in training
      mode, those that the user keeps in evaluation mode, too.
    """

    #: Both begin anew with each experience.
    transient_attributes = frozenset({"buffer_dataloader", "buffer_dliter"})

    def __init__(
        self,
        *,
        patterns_per_experience: Annotated[
            int, Ge(1), Doc("How many samples of each experience are kept."), Unit("samples")
        ] = 250,
        sample_size: Annotated[
            int,
            Ge(1),
            Doc(
                "How many are drawn from the memory for each reference gradient, in equal parts "
                "from each experience."
            ),
            Unit("samples"),
        ] = 256,
    ) -> None:
        super().__init__(patterns_per_experience, sample_size)
        self._projection = AddedGradient()
        self.coverage = Coverage()

    def before_training_epoch(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        self.reference_gradients = torch.empty(0)  # of a step that was given up

    def before_training_iteration(
        self, strategy: TrainingStrategy, *args: Any, **kwargs: Any
    ) -> None:
        """The gradient on a sample of the memory, at the start of each step."""
        if not self.buffers or self.reference_gradients.numel():
            return
        batch = self.sample_from_memory()
        x, y = batch[0].to(strategy.device), batch[1].to(strategy.device)
        with unseen_ruled_out(strategy):
            loss = strategy._criterion(avalanche_forward(strategy.model, x, batch[-1]), y)
        parameters = list(strategy.model.parameters())
        trained = [p for p in parameters if p.requires_grad]
        found = torch.autograd.grad(loss, trained, allow_unused=True, materialize_grads=True)
        gradients = dict(zip(trained, found, strict=True))
        self.reference_gradients = torch.cat(
            [gradients.get(p, torch.zeros_like(p)).flatten() for p in parameters]
        )

    def before_backward(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        """Undo the projection of gradients that the backward pass will add to."""
        self._projection.take_out()

    @torch.no_grad()
    def after_backward(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        """Project the gradients where they would raise the loss on the memory."""
        if not self.reference_gradients.numel():
            return
        parameters = list(strategy.model.parameters())
        parts = self.reference_gradients.split([p.numel() for p in parameters])
        pairs = [
            (p, part.view_as(p))
            for p, part in zip(parameters, parts, strict=True)
            if p.grad is not None
        ]
        product = sum(float((p.grad * part).sum()) for p, part in pairs)
        if product < 0:
            length = float(self.reference_gradients.square().sum())
            changed, along = [p for p, _ in pairs], [part for _, part in pairs]
            self._projection.add(changed, along, -product / length)

    def after_update(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        self.reference_gradients = torch.empty(0)

    def before_training_exp(
        self, strategy: TrainingStrategy, *args: Any, num_workers: int = 0, **kwargs: Any
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

    def after_training_exp(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
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
