"""Dropout on the inputs and hidden layers of any network, in training only."""

from __future__ import annotations

from typing import Annotated, Any

from avalanche.core import SupervisedPlugin
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import Doc

from cl_strategies.plugins.dropout.layers import InputRate, Rate, refuse_compiled, weight_layers
from cl_strategies.plugins.protocols.training import TrainingStrategy
from cl_strategies.validation.hyperparameters import hyperparameters


@hyperparameters
class DropoutPlugin(SupervisedPlugin):
    """Train with dropout (Srivastava et al., JMLR 2014) that the network need not know of.

    Elements of the network's input are dropped at one rate, and elements of what each further
    linear layer or convolution takes in at another; what is left is scaled by ``1 / (1 - rate)``.
    The network is not changed: outside of the forward passes of training, in evaluations and for
    other plugins that call the model, there is no dropout. Inputs that are integers stay.
    """

    def __init__(
        self,
        *,
        input_dropout: InputRate = 0.2,
        hidden_dropout: Annotated[
            Rate,
            Doc(
                "Rate of dropout of what each linear layer or convolution but the first takes in, "
                "in training."
            ),
        ] = 0.5,
    ) -> None:
        super().__init__()
        self.input_dropout = input_dropout
        self.hidden_dropout = hidden_dropout
        self._hooks: list[Any] = []
        self._first = False

    def before_forward(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        """:raises UserError: if a part of the model is compiled."""
        model = strategy.model
        refuse_compiled(model)
        self._remove()
        self._hooks = [model.register_forward_pre_hook(self._drop_input)]
        if self.hidden_dropout:
            layers = weight_layers(model).values()
            self._hooks += [layer.register_forward_pre_hook(self._drop_hidden) for layer in layers]

    def after_forward(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        self._remove()

    def before_eval(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        self._remove()  # of a forward pass that failed

    def state_dict(self) -> dict[str, Any]:
        """Return an empty state: nothing is kept between experiences."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Do nothing: there is no state."""

    def _drop_input(self, model: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        self._first = True
        return _dropped(inputs, self.input_dropout)

    def _drop_hidden(self, layer: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        if self._first:
            self._first = False
            return inputs
        return _dropped(inputs, self.hidden_dropout)

    def _remove(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks = []


def _dropped(inputs: tuple[Any, ...], rate: float) -> tuple[Any, ...]:
    if not rate or not inputs or not isinstance(inputs[0], Tensor):
        return inputs
    if not inputs[0].is_floating_point():
        return inputs
    return (F.dropout(inputs[0], rate), *inputs[1:])
