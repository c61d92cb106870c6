"""PRD (Asadi, Davari, Mudur, Aljundi, Belilovsky, "Prototype-Sample Relation Distillation: Towards
Replay-Free Continual Learning", ICML 2023)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from avalanche.models import avalanche_forward
from torch import Tensor, nn
from torch.optim import Optimizer

from cl_strategies.errors import UserError
from cl_strategies.plugins.classes.experience import mini_batch_task_labels
from cl_strategies.plugins.contrastive.conversion import prototype_network
from cl_strategies.plugins.contrastive.network import (
    Embedding,
    MultiPrototypeNetwork,
    PrototypeNetwork,
)
from cl_strategies.plugins.contrastive.relations import PrototypeRelations
from cl_strategies.strategies.templates.base import Strategy
from cl_strategies.strategies.templates.frozen_parameters import copy_to_train, freeze_left_out
from cl_strategies.validation.hyperparameters import build_part, take_options


class PRD(Strategy):
    """Contrast two views of each sample; classify by prototypes, and keep their relations.

    The classifier of the model is replaced by a prototype per class, per task where samples have
    task labels. Features are trained by a supervised contrastive loss, prototypes turn towards
    the features of their class, and those of earlier experiences stay in the relations to the
    samples at hand that they had in the old network. Cross-entropy plays no part: the criterion
    is for evaluation only. ``strategy.mb_output`` holds, in training, scores of the first view.

    ``strategy.model`` is around a copy of the user's network. The optimizer is kept, but holds
    what that network trains, with fresh moments and its initial options for each experience.

    :param model: a network with a multi-head classifier, or with a linear classifier on top; or a
        :class:`~cl_strategies.plugins.contrastive.network.PrototypeNetwork`.
    :param optimizer: Optimizer with one group of parameters.
    :param options: Options of the loss and the projection, and arguments of
        :class:`~cl_strategies.strategies.templates.base.Strategy`.
    :raises UserError: for a model without such a classifier, an option out of its range, or an
        optimizer with several groups.
    """

    model: PrototypeNetwork
    wraps_model = True
    needs_whole_experiences = "distils from the network as it was before the whole experience"
    parts = (PrototypeRelations, prototype_network)

    def __init__(self, *, model: nn.Module, optimizer: Optimizer, **options: Any) -> None:
        self.relations: PrototypeRelations = build_part(PrototypeRelations, options)
        if len(optimizer.param_groups) != 1:
            raise UserError(
                f"the optimizer has {len(optimizer.param_groups)} groups of parameters, but PRD "
                "replaces the classifier and cannot tell its group: give one"
            )
        self._options = {k: v for k, v in optimizer.param_groups[0].items() if k != "params"}
        self._embedded: tuple[Tensor, Embedding] | None = None
        network = self._with_prototypes(model, optimizer, options)
        super().__init__(model=network, optimizer=optimizer, **options)
        self.make_optimizer()

    @staticmethod
    def _with_prototypes(
        model: nn.Module, optimizer: Optimizer, options: dict[str, Any]
    ) -> PrototypeNetwork:
        if not isinstance(model, PrototypeNetwork):
            made: PrototypeNetwork = build_part(
                prototype_network, options, copy_to_train(model, optimizer)
            )
            return made
        if given := take_options(prototype_network, options):
            raise UserError(
                f"the model is a {type(model).__name__}, which was made with its own "
                f"{', '.join(given)}: leave these options out"
            )
        freeze_left_out(model, optimizer)
        return model

    # ------------------------------------------------------------------ an experience

    def check_model_and_optimizer(self, **kwargs: Any) -> None:
        """Keep the network as it is, then make room for the classes of the experience."""
        self.relations.old = self.model.frozen_copy() if len(self.model.prototypes) else None
        self.model = self.model_adaptation()
        self.make_optimizer()

    def make_optimizer(self, **kwargs: Any) -> None:
        """Let the optimizer hold what is trained in this experience, with its initial options."""
        group = self.optimizer.param_groups[0]
        group.update(self._options)
        group["params"] = [p for p in self.model.parameters() if p.requires_grad and p.numel()]
        self.optimizer.state.clear()

    def forward(self) -> Any:
        """Return scores; in training of the first of two views, both of which the loss needs."""
        if not self.is_training:
            return super().forward()
        views = self.relations.views(self.mb_x)
        tasks = mini_batch_task_labels(self)
        with self.model.watching() as seen:
            scores = avalanche_forward(
                self.model, views, tasks.repeat(2) if tasks is not None else None
            )
        self._embedded = views, seen[-1]
        return scores[: len(views) // 2]

    def criterion(self) -> Any:
        """Return the loss of PRD in training, the criterion in evaluation."""
        if not self.is_training or self._embedded is None:
            return super().criterion()
        (views, embedding), self._embedded = self._embedded, None
        several = isinstance(self.model, MultiPrototypeNetwork)
        tasks = mini_batch_task_labels(self) if several else None
        labels = self.mb_y
        return self.relations.loss(
            self.model,
            embedding,
            views,
            labels,
            torch.zeros_like(labels) if tasks is None else tasks,
        )

    def _after_training_exp(self, **kwargs: Any) -> None:
        super()._after_training_exp(**kwargs)
        self.relations.old = None

    # ------------------------------------------------------------------ state

    def method_state_dict(self) -> dict[str, Any]:
        """Return the classes of each experience; all else is in the network."""
        return {"structure": self.model.structure()}

    def load_method_state_dict(
        self, state: Mapping[str, Any], experiences: Sequence[Any] = ()
    ) -> None:
        """Give the network the prototypes it had, so that their values can be loaded."""
        self.model.restore_structure(state["structure"])
        self.model.to(self.device)
        self.make_optimizer()
