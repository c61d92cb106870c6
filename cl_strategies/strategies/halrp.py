"""HALRP (Li, Lai, Wang, Shui, Sahoo, Ling, Yang, Wang, Gagné, Zhou, "Hessian Aware Low-Rank
Perturbation for Order-Robust Continual Learning", 2024)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from annotated_types import Ge
from torch import Tensor
from torch.utils.data import DataLoader
from typing_extensions import Doc

from cl_strategies.errors import UserError
from cl_strategies.plugins.data.plugin import ResidentDataPlugin
from cl_strategies.plugins.loss_terms.added_gradient import AddedGradient, PassCounter
from cl_strategies.plugins.loss_terms.loss_scale import LossScale
from cl_strategies.plugins.low_rank.algorithm import LowRankPerturbation
from cl_strategies.plugins.low_rank.model import HALRPModel
from cl_strategies.strategies.templates.task_model import TaskModelStrategy
from cl_strategies.validation.hyperparameters import build_part


class HALRP(TaskModelStrategy):
    """A frozen base network, and for each task row and column scales plus a low-rank residual.

    The first experience trains the network as it is. A later one trains a copy of the base
    weights for ``warmup_epochs``, decomposes it, gives every layer a rank by how much the loss
    depends on it, and fine-tunes the factors, biases, normalizations and head of the task for
    the remaining epochs. Nothing that belongs to an old task changes afterwards, unless
    ``prune_old_tasks`` is set.

    The optimizer also begins anew, with fresh moments and its initial options, when the warm-up
    ends; the authors use Adam with a rate of 1e-3. The gradient of the regularizer is added after
    the backward pass: ``strategy.loss`` is the task loss.

    :raises UserError: for fewer epochs than the warm-up takes, and as
        :class:`~cl_strategies.strategies.templates.task_model.TaskModelStrategy`.
    """

    model: HALRPModel
    model_class = HALRPModel
    parts = (LowRankPerturbation,)
    dataloader: Any

    def __init__(
        self,
        *,
        warmup_epochs: Annotated[
            int,
            Ge(1),
            Doc(
                "Epochs of free training of a new task, n_r in the paper; the rest of "
                "``train_epochs`` fine-tunes."
            ),
        ] = 1,
        **options: Any,
    ) -> None:
        self.algorithm: LowRankPerturbation = build_part(LowRankPerturbation, options)
        self.warmup_epochs = warmup_epochs
        self._added, self._scale, self._passes = AddedGradient(), LossScale(), PassCounter()
        super().__init__(**options)
        if warmup_epochs > self.train_epochs:
            raise UserError(
                f"warmup_epochs is {warmup_epochs} of {self.train_epochs} epochs in all: give at "
                "least 1, and train_epochs above it to leave some for fine-tuning"
            )

    @property
    def fixed_tasks(self) -> bool:
        """Unless finished tasks are pruned again."""
        return not (self.algorithm.prune_old_tasks and self.algorithm.pruning != "none")

    # ------------------------------------------------------------------ stages of a task

    def _before_training_epoch(self, **kwargs: Any) -> None:
        if self.model.warming_up and self.clock.train_exp_epochs >= self.warmup_epochs:
            self._decompose()
        super()._before_training_epoch(**kwargs)

    def _before_training_exp(self, **kwargs: Any) -> None:
        self._added, self._scale = AddedGradient(), LossScale()
        self._passes.begin()
        super()._before_training_exp(**kwargs)

    def settle(self) -> None:
        """Decompose what is still free, and prune."""
        if self.model.warming_up:  # stopped early, or no epoch left to fine-tune
            self._decompose()
        self.algorithm.prune(self.model)

    def _decompose(self) -> None:
        self.algorithm.decompose(self.model, self._task_batches(), self._criterion)
        self.make_optimizer()

    def _task_batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the data of the experience once, in order and without augmentation."""
        dataset = self.experience.dataset.eval()
        collate = getattr(dataset, "collate_fn", None)
        training = self.dataloader
        size = self.train_mb_size * self._passes.per_step  # "fisher_mean" depends on it
        self.dataloader = DataLoader(dataset, batch_size=size, collate_fn=collate)
        for plugin in self.plugins:
            if isinstance(plugin, ResidentDataPlugin):
                plugin.before_eval_exp(self)
        batches, self.dataloader = self.dataloader, training
        for batch in batches:
            yield batch[0].to(self.device), batch[1].to(self.device)

    def _before_backward(self, **kwargs: Any) -> None:
        self._added.take_out()
        super()._before_backward(**kwargs)
        self._scale.before_backward(self)

    def _after_backward(self, **kwargs: Any) -> None:
        """Add the gradient of the regularizer, once per step, while fine-tuning."""
        scale = self._scale.after_backward(self)
        self._added.add(*self.algorithm.regularizer_gradient(self.model), scale)
        self._passes.after_backward()
        super()._after_backward(**kwargs)

    def _after_update(self, **kwargs: Any) -> None:
        self._passes.after_update()
        super()._after_update(**kwargs)
