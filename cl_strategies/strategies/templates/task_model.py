"""What strategies with parameters per task share: the optimizer, freezing, the state."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import nn
from torch.optim import Optimizer

from cl_strategies.errors import UserError
from cl_strategies.plugins.task_layers.model import TaskModel
from cl_strategies.strategies.templates.base import Strategy
from cl_strategies.strategies.templates.frozen_parameters import copy_to_train, freeze_left_out
from cl_strategies.strategies.templates.isolation import refuse_guards
from cl_strategies.validation.hyperparameters import build_part, take_options


class TaskModelStrategy(Strategy):
    """Train a :class:`~cl_strategies.plugins.task_layers.model.TaskModel` task by task.

    A method is a subclass that names its ``model_class``, whose options become its own.
    ``strategy.model`` is one of that class, around a copy of the user's network. The optimizer is
    kept, but its parameters are those that the task trains and nothing else, with fresh moments and
    the initial options for each task; between experiences it holds none.

    :param model: Linear, Conv2d and normalization layers below a multi-head classifier, or a
        ``model_class`` that was made before.
    :param optimizer: Optimizer with one group of parameters.
    :param options: Options of ``model_class``, and arguments of
        :class:`~cl_strategies.strategies.templates.base.Strategy`.
    :raises UserError: for a model that cannot be divided into tasks, an option out of its range, an
        optimizer with several groups, or a plugin that guards earlier tasks
        (:data:`~cl_strategies.strategies.templates.isolation.GUARDS`), which need no guard here.
    """

    #: The network divided into tasks, which takes the options that it declares.
    model_class: ClassVar[type[TaskModel]]

    #: True for a method that goes on training what earlier tasks use.
    can_forget: ClassVar[bool] = False

    model: TaskModel
    wraps_model = True
    needs_whole_experiences = "learns a task in one experience and freezes what belongs to it"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        if "model_class" in cls.__dict__:
            cls.parts = (cls.model_class, *cls.__dict__.get("parts", ()))
        super().__init_subclass__(**kwargs)

    def __init__(self, *, model: nn.Module, optimizer: Optimizer, **options: Any) -> None:
        divided = self._divide(model, optimizer, options)
        if len(optimizer.param_groups) != 1:
            raise UserError(
                f"the optimizer has {len(optimizer.param_groups)} groups of parameters, but "
                f"{divided.method} makes the parameters of every task anew and cannot tell their "
                "group: give one"
            )
        self._options = {k: v for k, v in optimizer.param_groups[0].items() if k != "params"}
        super().__init__(model=divided, optimizer=optimizer, **options)
        if not self.can_forget:
            refuse_guards(
                self.plugins,
                f"with {divided.method} nothing that an earlier task uses ever changes",
            )
        self.make_optimizer()  # between tasks it holds nothing

    @classmethod
    def _divide(cls, model: nn.Module, optimizer: Optimizer, options: dict[str, Any]) -> TaskModel:
        """Divide the network into tasks, and take the options for that out of ``options``."""
        kind = cls.model_class
        if not isinstance(model, kind):
            divided: TaskModel = build_part(kind, options, copy_to_train(model, optimizer))
            return divided
        if given := take_options(kind, options):
            raise UserError(
                f"the model is a {kind.__name__}, which was made with its own {', '.join(given)}: "
                "leave these options out, or give the network that it was made from"
            )
        freeze_left_out(model, optimizer)
        return model

    @property
    def fixed_tasks(self) -> bool:
        """What belongs to a finished task is frozen."""
        return True

    def check_model_and_optimizer(self, **kwargs: Any) -> None:
        """Begin the task of the experience."""
        self.model = self.model_adaptation()
        self.make_optimizer()

    def model_adaptation(self, model: Any = None) -> Any:
        """As Avalanche's, but the model itself knows which of its parts to adapt."""
        adapted = self.model if model is None else model
        if not isinstance(adapted, TaskModel):
            return super().model_adaptation(model)
        adapted.adaptation(self.experience)
        return adapted.to(self.device)

    def _load_train_state(self, prev_state: Any) -> None:
        """As Avalanche's, which also visits the parts of each part whose mode is right already."""
        modes = prev_state["model_training_mode"]
        for name, part in self.model.named_modules():
            if part.training != (mode := modes.get(name, True)):
                part.train(mode)
        for name in ("experience", "is_training", "adapted_dataset", "dataloader"):
            setattr(self, name, prev_state[name])

    def make_optimizer(self, **kwargs: Any) -> None:
        """Let the optimizer hold what is being trained, with its initial options."""
        task = self.model.current
        group = self.optimizer.param_groups[0]
        group.update(self._options)
        group["params"] = [] if task is None else self.model.parameters_of(task)
        self.optimizer.state.clear()
        self.model.rebuilt = False

    def _before_forward(self, **kwargs: Any) -> None:
        super()._before_forward(**kwargs)
        if self.model.rebuilt:  # a plugin has put back an earlier state, and goes on training
            self.make_optimizer()

    def settle(self) -> None:
        """Bring the trained task into the form in which it is kept; doing it twice is harmless."""

    def _after_training_exp(self, **kwargs: Any) -> None:
        self.settle()
        # Before the task is frozen: plugins may differentiate, or put back an earlier state.
        super()._after_training_exp(**kwargs)
        self.settle()
        self.model.finish()
        self.make_optimizer()

    # ------------------------------------------------------------------ state

    def state_dict(self) -> dict[str, Any]:
        """Return the state between two experiences: tensors and plain data."""
        return {**self.method_state_dict(), "model": self.model.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from ``state``.

        :raises UserError: if the model has learned tasks before.
        """
        self.load_method_state_dict(state)
        self.model.load_state_dict(state["model"])

    def method_state_dict(self) -> dict[str, Any]:
        """Return the tasks of the model and their shapes; the model itself holds their tensors."""
        return {"structure": json.dumps(self.model.structure())}

    def load_method_state_dict(
        self, state: Mapping[str, Any], experiences: Sequence[Any] = ()
    ) -> None:
        """Give the model the tasks of ``state``, so that their tensors can be loaded."""
        self.model.restore_structure(json.loads(state["structure"]))
        self.make_optimizer()
