"""The Avalanche side of a :class:`QuadraticSurrogate`: which callback does what."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from avalanche.training.plugins import SupervisedPlugin
from torch import nn

from cl_strategies.errors import UserError
from cl_strategies.plugins.loss_terms.added_gradient import PassCounter
from cl_strategies.plugins.loss_terms.loss_scale import LossScale
from cl_strategies.plugins.protocols.training import TrainingStrategy
from cl_strategies.plugins.regularization.surrogate import QuadraticSurrogate
from cl_strategies.validation.hyperparameters import (
    build_part,
    hyperparameters,
    refuse_unknown,
)


class SurrogatePlugin(SupervisedPlugin):
    """Train each experience after the first with the penalty of a surrogate.

    The penalty enters as a gradient right after the backward pass, once per step of the optimizer:
    a further backward pass before the step finds gradients without it. Behind a gradient scaler
    it is scaled, and the task gradient is not. What is in ``strategy.loss``,
    including what other plugins add to it (LwF, EWC, replay), is the task loss of the paper;
    what changes gradients before the step (clipping) sees the sum, and the path integral still
    uses the task gradient. Put the plugin before others that change gradients in
    ``after_backward``. ``strategy.loss`` does not contain the penalty: see :meth:`value`.

    A plugin belongs to one strategy. A method is a subclass that names its ``surrogate_class``,
    whose options become its own.

    :raises UserError: for an option out of its range.
    """

    surrogate_class: ClassVar[Callable[..., QuadraticSurrogate]]
    parts: ClassVar[tuple[Callable[..., Any], ...]] = ()
    first_by_position: ClassVar[str] = "strength"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "surrogate_class" in cls.__dict__:
            cls.parts = (cls.surrogate_class,)
            hyperparameters(cls)

    def __init__(self, **options: Any) -> None:
        self.surrogate = build_part(type(self).surrogate_class, options)
        refuse_unknown(type(self), options)
        super().__init__()
        self._scale = LossScale()
        self._passes = PassCounter()

    def before_training_exp(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        """:raises UserError: if the optimizer evaluates the loss itself, as LBFGS does."""
        closure = inspect.signature(type(strategy.optimizer).step).parameters.get("closure")
        if closure is not None and closure.default is inspect.Parameter.empty:
            raise UserError(
                f"{type(strategy.optimizer).__name__} evaluates the loss several times in a step, "
                f"which {type(self).__name__} cannot follow: use SGD, Adam or the like"
            )
        self.surrogate.begin_experience(strategy.model)
        self._scale.begin()
        self._passes.begin()

    def before_backward(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        """:raises UserError: if gradients that accumulate were changed between two passes."""
        self.surrogate.before_backward()
        self._scale.before_backward(strategy)

    def after_backward(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        """:raises UserError: if the scale of the gradients cannot be told."""
        self.surrogate.after_backward(self._scale.after_backward(strategy))
        self._passes.after_backward()

    def after_update(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        self.surrogate.after_update()
        self._passes.after_update()

    def after_eval(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        self.surrogate.refresh(strategy.model)

    def after_training_exp(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        self.surrogate.end_experience()

    def value(self, model: nn.Module) -> float:
        """Return the penalty at the parameters of ``model``, in units of the loss."""
        return self.surrogate.value(model)

    def state_dict(self) -> dict[str, Any]:
        """State between two experiences: tensors and plain data."""
        return self.surrogate.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """:raises UserError: if another method made ``state``."""
        self.surrogate.load_state_dict(state)
