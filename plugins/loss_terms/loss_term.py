"""Terms of the loss that depend on the mini-batch, or on the parameters alone."""

from __future__ import annotations

from typing import Any

import torch
from avalanche.training.plugins import SupervisedPlugin
from torch import Tensor, nn

from cl_strategies.errors import UserError
from cl_strategies.plugins.loss_terms.added_gradient import AddedGradient
from cl_strategies.plugins.loss_terms.loss_scale import LossScale
from cl_strategies.plugins.protocols.training import TrainingStrategy


class LossTermPlugin(SupervisedPlugin):
    """Add a term that depends on the mini-batch to the loss in training.

    When gradients accumulate over several mini-batches, the training loop weights the value that
    the criterion returns. The strategies of this package therefore :meth:`take` the term with the
    criterion. Other templates get it in ``before_backward``, where the weight is not known.
    """

    _taken = False

    def loss_term(self, strategy: TrainingStrategy) -> Tensor | None:
        """Return the term of the current mini-batch, with its graph; ``None`` for none."""
        raise NotImplementedError

    def take(self, strategy: TrainingStrategy) -> Tensor | None:
        """Return the term to a caller that adds it to the criterion."""
        self._taken = True
        return self.loss_term(strategy)

    def before_backward(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        """Add the term to ``strategy.loss`` unless the criterion holds it already.

        :raises UserError: if gradients accumulate and the criterion does not hold the term.
        """
        taken, self._taken = self._taken, False
        term = None if taken else self.loss_term(strategy)
        if term is not None:
            check_single_pass(strategy.model, type(self).__name__)
            strategy.loss = strategy.loss + term


def check_single_pass(model: nn.Module, who: str) -> None:
    """Check that gradients do not accumulate over several backward passes.

    :raises UserError: if ``model`` holds gradients that a backward pass would add to.
    """
    gradients = (p.grad for p in model.parameters() if p.grad is not None)
    if any(bool(gradient.any()) for gradient in gradients):
        raise UserError(
            f"{who} adds a term for each mini-batch, and gradients accumulate over several of "
            "them: its weight beside the loss is not known here. Set the gradients to zero before "
            "each backward pass, or use a strategy of this package and weigh what its criterion() "
            "returns, if the term is part of it"
        )


class ParameterPenalty:
    """A differentiable penalty on parameters, once per step of the optimizer.

    ``strategy.loss`` holds its value after each forward pass. Its gradient is in the gradients
    once, however many backward passes lead to a step, and follows their scale.
    """

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Discard everything, at the start and the end of an experience."""
        self._added, self._scale = AddedGradient(), LossScale()
        self._value: Tensor | None = None

    def before_backward(self, strategy: TrainingStrategy, value: Tensor) -> None:
        """Add the value of the penalty, a scalar with its graph, to ``strategy.loss``."""
        self._added.take_out()
        self._value = value
        strategy.loss = strategy.loss + value.detach()
        self._scale.before_backward(strategy)

    def after_backward(self, strategy: TrainingStrategy) -> None:
        """Add the gradient of the penalty; nothing without :meth:`before_backward`."""
        value, self._value = self._value, None
        if value is None:
            return
        scale = self._scale.after_backward(strategy)
        if not value.requires_grad:
            return
        parameters = [p for p in strategy.model.parameters() if p.requires_grad]
        found = torch.autograd.grad(value, parameters, allow_unused=True)
        pairs = [(p, g) for p, g in zip(parameters, found, strict=True) if g is not None]
        for parameter, _ in pairs:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        self._added.add([p for p, _ in pairs], [g for _, g in pairs], scale)

    def state_dict(self) -> dict[str, Any]:
        """Return an empty state: nothing is kept between experiences."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Do nothing: there is no state."""
