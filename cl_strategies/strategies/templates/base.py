"""What the strategies here share: Avalanche's template and a method made of plugins."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from avalanche.benchmarks.scenarios import OnlineCLExperience
from avalanche.core import BasePlugin, SupervisedPlugin
from avalanche.models.dynamic_modules import avalanche_model_adaptation
from avalanche.models.utils import is_multi_task_module
from avalanche.training.plugins.evaluation import default_evaluator
from avalanche.training.templates import SupervisedTemplate
from torch import nn
from torch.optim import Optimizer

from cl_strategies.errors import UserError
from cl_strategies.models.param_groups import place_new
from cl_strategies.plugins.classes.experience import described
from cl_strategies.plugins.classes.options import UnseenClasses
from cl_strategies.plugins.classes.seen_classes import SeenClassesPlugin
from cl_strategies.plugins.loss_terms.loss_term import LossTermPlugin
from cl_strategies.strategies.templates.batches import moved
from cl_strategies.strategies.templates.frozen_parameters import freeze_left_out
from cl_strategies.validation.hyperparameters import hyperparameters


class Strategy(SupervisedTemplate):
    """Avalanche's template with the plugins of one method.

    Subclasses take their hyper-parameters by name and hand everything else on; every keyword
    argument of Avalanche's ``SupervisedTemplate`` is understood (``model``, ``optimizer``,
    ``train_mb_size``, ``train_epochs``, ``device``, ``eval_every``...).

    :param model: what is trained; parameters that are frozen stay so.
    :param optimizer: of the model's parameters; those that it leaves out are frozen, with a
        warning (:func:`freeze_left_out`). Of several groups, one
        without parameters takes those that come later, such as heads
        (:func:`~cl_strategies.models.param_groups.place_new`).
    :param method: the plugins of the method, made for this strategy alone. They run before
        the user's, which therefore see its penalties, projections and data loaders.
    :param plugins: the user's plugins; the list is copied and never changed. A
        :class:`SeenClassesPlugin` among them decides in place of ``unseen_classes``.
    :param criterion: loss of logits and labels; cross-entropy if ``None``. Label smoothing and
        class weights of :class:`torch.nn.CrossEntropyLoss` count over the classes that are there;
        a loss of the user's own gets :data:`ABSENT` for others.
    :param eval_mb_size: batch size of the evaluation.
    :param evaluator: Avalanche evaluation plugin, or ``None`` for no metrics; Avalanche's default
        prints accuracies.
    """

    #: True for a method that is trained once, on the whole stream.
    trains_jointly: ClassVar[bool] = False
    #: True for a method that puts its own network around the user's, and calls
    #: :func:`~cl_strategies.strategies.templates.frozen_parameters.freeze_left_out` before.
    wraps_model: ClassVar[bool] = False
    #: Why it cannot learn parts of an experience one after the other; empty if it can.
    needs_whole_experiences: ClassVar[str] = ""

    #: Classes and functions that take some of the options: :func:`build_part` hands them over.
    parts: ClassVar[tuple[Callable[..., Any], ...]] = ()

    @property
    def fixed_tasks(self) -> bool:
        """Whether nothing that a finished experience is evaluated with can change any more.

        Its accuracies are then copied, and the copies checked, instead of measured after each
        later experience (``experiment/engine/evaluation.py``). A method may declare it as a
        class attribute, too.
        """
        return False

    experience: Any
    mbatch: Any

    def __init_subclass__(cls, **kwargs: Any) -> None:
        constructor = inspect.unwrap(cls.__init__)  # type: ignore[misc]
        super().__init_subclass__(**kwargs)
        # Avalanche's check of argument names, now around it, knows nothing of parts.
        cls.__init__ = constructor  # type: ignore[method-assign]
        hyperparameters(cls)

    def __init__(
        self,
        *,
        model: nn.Module,
        optimizer: Optimizer,
        method: Sequence[SupervisedPlugin] = (),
        plugins: Sequence[BasePlugin] | None = None,
        unseen_classes: UnseenClasses = "mask",
        criterion: Callable[[Any, Any], torch.Tensor] | None = None,
        eval_mb_size: int = 256,
        evaluator: Any = default_evaluator,
        **template: Any,
    ) -> None:
        given = [p for p in plugins or () if isinstance(p, SeenClassesPlugin)]
        others = [p for p in plugins or () if not isinstance(p, SeenClassesPlugin)]
        seen, *_ = [*given, SeenClassesPlugin(unseen_classes=unseen_classes)]
        if not self.wraps_model:
            freeze_left_out(model, optimizer)
        super().__init__(
            model=model,
            optimizer=optimizer,
            plugins=[*method, seen, *others],
            criterion=nn.CrossEntropyLoss() if criterion is None else criterion,
            eval_mb_size=eval_mb_size,
            evaluator=evaluator,
            **template,
        )
        self.seen_classes = seen

    def criterion(self) -> torch.Tensor:
        """Return the loss of the task and, in training, the terms that plugins add for the
        mini-batch."""
        loss = self.task_loss()
        if self.is_training:
            for plugin in self.plugins:
                term = plugin.take(self) if isinstance(plugin, LossTermPlugin) else None
                if term is not None:
                    loss = loss + term
        return loss

    def task_loss(self) -> torch.Tensor:
        """Return the criterion of the mini-batch, without the terms of plugins."""
        loss: torch.Tensor = super().criterion()
        return loss

    def _after_training_exp(self, **kwargs: Any) -> None:
        super()._after_training_exp(**kwargs)
        self._stop_training = False  # a stop within the last epoch is not for the next experience

    def check_experience(self, experience: Any) -> Any:
        """Return ``experience`` with its classes and task labels, which Avalanche leaves out at
        times.

        :raises UserError: for labels that are not class ids, samples without the task labels that
            the model needs, and in training parts of experiences, where the method needs whole
            ones.
        """
        part = self.is_training and isinstance(experience, OnlineCLExperience)
        if part and self.needs_whole_experiences:
            raise UserError(
                f"{type(self).__name__} {self.needs_whole_experiences}, and this experience is "
                "a part of one: train on the stream that split_online_stream was given"
            )
        experience = described(experience)
        if is_multi_task_module(self.model) and not hasattr(experience, "task_labels"):
            raise UserError(
                f"{type(self.model).__name__} chooses parameters by the task label of a sample, "
                "and the experience has no task labels: use a task-incremental stream with one "
                "label per experience, or a model with a single head"
            )
        return experience

    def _before_training_exp(self, **kwargs: Any) -> None:
        self.experience = self.check_experience(self.experience)
        super()._before_training_exp(**kwargs)

    def _before_eval_exp(self, **kwargs: Any) -> None:
        self.experience = self.check_experience(self.experience)
        super()._before_eval_exp(**kwargs)

    def model_adaptation(self, model: nn.Module | None = None) -> Any:
        """As Avalanche's; a stream whose task boundaries are known gives all classes of a task."""
        experience = self.experience
        if self.is_training and getattr(experience, "access_task_boundaries", False):
            experience = described(experience.origin_experience)
        adapted = self.model if model is None else model
        avalanche_model_adaptation(adapted, experience)
        return adapted.to(self.device)

    def make_optimizer(self, **kwargs: Any) -> None:
        """As Avalanche's, with new parameters in the groups that they belong to.

        :raises UserError: if that cannot be told.
        """
        if len(self.optimizer.param_groups) > 1:
            place_new(self.optimizer, self.model, known=self.optimized_param_id or {})
        super().make_optimizer(**kwargs)

    def _unpack_minibatch(self) -> None:
        self.mbatch = [moved(part, self.device) for part in self.mbatch]
        labels = self.mbatch[1]
        if not labels.is_floating_point():  # as ids, not as masks, which bytes and booleans are
            self.mbatch[1] = labels.long()

    def make_train_dataloader(self, **kwargs: Any) -> None:
        """As Avalanche's, which divides each mini-batch between the tasks in the data.

        :raises UserError: if there is nothing to train on, or fewer samples in a mini-batch
            than tasks in the data.
        """
        if not len(self.adapted_dataset):
            raise UserError("there is no sample to train on in this experience")
        aware = hasattr(self.experience, "task_labels")
        tasks = len(self.adapted_dataset.targets_task_labels.uniques) if aware else 1
        if self.train_mb_size < tasks:
            raise UserError(
                f"mini-batches of {self.train_mb_size} cannot be divided between the {tasks} "
                f"tasks to train on: set the training batch size to {tasks} or more"
            )
        super().make_train_dataloader(**kwargs)
