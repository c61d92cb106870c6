"""BMKP (Sun, Li, Zhang, Wang, Geng, "Decoupling Learning and Remembering: a Bilevel Memory
Framework with Knowledge Projection for Task-Incremental Learning", CVPR 2023)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import torch
from annotated_types import Ge
from torch.utils.data import DataLoader
from typing_extensions import Doc

from cl_strategies.errors import UserError
from cl_strategies.plugins.loss_terms.loss_term import ParameterPenalty
from cl_strategies.plugins.projection.basis_model import BasisModel
from cl_strategies.strategies.templates.task_model import TaskModelStrategy


class BMKP(TaskModelStrategy):
    """A working network that learns, and a basis of each layer in which tasks are remembered.

    A task trains free weights, which go on from those of the last task, with a penalty on what
    they have outside the bases. Each basis is then extended by the directions that the outputs of
    its layer need, the weights are projected on it, and for the last ``retrain_epochs`` the
    coefficients are trained. They are what the task keeps, with its biases, normalizations and
    head. Nothing that belongs to an old task changes afterwards.

    The optimizer begins anew, with fresh moments and its initial options, when the coefficients
    take the place of the weights. The gradient of the penalty is added after the backward pass.

    :raises UserError: for fewer epochs than the retraining takes and one more, and as
        :class:`~cl_strategies.strategies.templates.task_model.TaskModelStrategy`.
    """

    model: BasisModel
    model_class = BasisModel

    def __init__(
        self,
        *,
        strength: Annotated[
            float,
            Ge(0),
            Doc(
                "Strength of the penalty, lambda in the paper, which uses 1 on CIFAR-100 and 10 "
                "on CIFAR-10 and Tiny-ImageNet."
            ),
        ] = 1.0,
        retrain_epochs: Annotated[
            int | None,
            Ge(0),
            Doc(
                "Epochs, the last of ``train_epochs``, that train the coefficients; ``None`` "
                "for half of them, rounded down, as in the paper."
            ),
        ] = None,
        samples: Annotated[
            int,
            Ge(1),
            Doc("Training samples of each task whose outputs extend the bases."),
        ] = 500,
        **options: Any,
    ) -> None:
        self.strength, self.samples = strength, samples
        self._penalty = ParameterPenalty()
        super().__init__(**options)
        half = self.train_epochs // 2
        self.retrain_epochs = half if retrain_epochs is None else retrain_epochs
        if self.retrain_epochs >= self.train_epochs:
            raise UserError(
                f"retrain_epochs is {self.retrain_epochs} of {self.train_epochs} epochs in all, "
                "which leaves none to learn in: give fewer, or raise train_epochs"
            )

    # ------------------------------------------------------------------ stages of a task

    def _before_training_exp(self, **kwargs: Any) -> None:
        self._penalty.begin()
        super()._before_training_exp(**kwargs)

    def _before_training_epoch(self, **kwargs: Any) -> None:
        over = self.clock.train_exp_epochs
        if self.model.learning and over >= self.train_epochs - self.retrain_epochs:
            self._remember()
        super()._before_training_epoch(**kwargs)

    def settle(self) -> None:
        """Replace free weights, of a task without retraining or stopped early."""
        if self.model.learning:
            self._remember()

    def _remember(self) -> None:
        self.model.remember(self._samples())
        self._penalty.begin()
        self.make_optimizer()

    def _samples(self) -> Iterator[tuple[Any, Any]]:
        """Yield inputs and task labels of samples drawn at random, without augmentation."""
        dataset = self.experience.dataset.eval()
        if len(dataset) > self.samples:
            dataset = dataset.subset(torch.randperm(len(dataset))[: self.samples].tolist())
        collate = getattr(dataset, "collate_fn", None)
        for batch in DataLoader(dataset, batch_size=self.eval_mb_size, collate_fn=collate):
            yield batch[0].to(self.device), batch[-1].to(self.device)

    # ------------------------------------------------------------------ penalty

    def _before_backward(self, **kwargs: Any) -> None:
        super()._before_backward(**kwargs)
        penalty = self.model.penalty() if self.strength else None
        if penalty is not None:
            self._penalty.before_backward(self, self.strength * penalty)

    def _after_backward(self, **kwargs: Any) -> None:
        """Add the gradient of the penalty, once per step of the optimizer."""
        self._penalty.after_backward(self)
        super()._after_backward(**kwargs)

    # ------------------------------------------------------------------ state

    def method_state_dict(self) -> dict[str, Any]:
        """Return the tasks of the model, and the weights that the next one begins with."""
        return {**super().method_state_dict(), "working": dict(self.model.working)}

    def load_method_state_dict(
        self, state: Mapping[str, Any], experiences: Sequence[Any] = ()
    ) -> None:
        """Give the model the tasks and the free weights of ``state``."""
        super().load_method_state_dict(state, experiences)
        self.model.working = dict(state["working"])
