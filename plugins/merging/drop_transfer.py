"""Drop-transfer: dropout of what an experience changes (Lee et al., NeurIPS 2017)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import torch
from avalanche.core import SupervisedPlugin
from avalanche.models import avalanche_forward
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F
from typing_extensions import Doc

from cl_strategies.plugins.dropout.layers import Rate, called_layers, refuse_compiled, weight_layers
from cl_strategies.plugins.features.modes import evaluating
from cl_strategies.plugins.protocols.training import TrainingStrategy
from cl_strategies.plugins.regularization.flat_tensors import copy_into_corner
from cl_strategies.validation.hyperparameters import hyperparameters


@hyperparameters
class DropTransferPlugin(SupervisedPlugin):
    """Drop, in training, units of what each hidden layer puts out beside the old network.

    With ``theta = old + delta`` a layer puts out ``layer(x; old) + dropout(layer(x; theta) -
    layer(x; old))``. What no earlier experience has trained (in the first one, everything) has an
    ``old`` of zero, so that this is ordinary dropout. Hidden layers are linear layers and
    convolutions but the one that a forward pass calls last.
    """

    def __init__(self, *, drop_transfer: Annotated[Rate, Doc("Rate of dropout.")] = 0.5) -> None:
        super().__init__()
        self.drop_transfer = drop_transfer
        self._trained = False
        self._before: dict[str, Tensor] = {}
        self._old: dict[str, dict[str, Tensor]] | None = None
        self._hooks: list[Any] = []
        self._inside = False

    def before_train_dataset_adaptation(
        self, strategy: TrainingStrategy, *args: Any, **kwargs: Any
    ) -> None:
        self._release()
        if self._trained and self.drop_transfer:  # before heads grow
            self._before = {n: p.detach().clone() for n, p in _parameters(strategy.model).items()}

    def before_forward(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        """:raises UserError: if a part of the model is compiled."""
        if not self.drop_transfer:
            return
        refuse_compiled(strategy.model)
        if self._old is None:
            self._old = self._old_layers(strategy)
        layers = weight_layers(strategy.model)
        self._remove()
        self._hooks = [
            layers[name].register_forward_hook(self._dropping(old))
            for name, old in self._old.items()
        ]

    def after_forward(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        self._remove()

    def before_eval(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        self._remove()  # of a forward pass that failed

    def after_training_exp(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        self._release()
        self._trained = True

    def state_dict(self) -> dict[str, Any]:
        """Return whether there is an old network: its parameters are the model's."""
        return {"trained": self._trained}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Replace the state by one that :meth:`state_dict` made."""
        self._trained = bool(state["trained"])

    @torch.no_grad()
    def _old_layers(self, strategy: TrainingStrategy) -> dict[str, dict[str, Tensor]]:
        """Return the old parameters of each hidden layer that is trained."""
        model = strategy.model
        with evaluating(model):
            called = called_layers(
                model, lambda: avalanche_forward(model, strategy.mb_x, strategy.mb_task_id)
            )
        layers, old = weight_layers(model), {}
        for name in dict.fromkeys(name for name in called if name != called[-1]):
            own = dict(layers[name].named_parameters())
            if any(parameter.requires_grad for parameter in own.values()):
                old[name] = {key: self._padded(name, key, value) for key, value in own.items()}
        return old

    def _padded(self, layer: str, key: str, parameter: Tensor) -> Tensor:
        name = f"{layer}.{key}" if layer else key
        padded = torch.zeros_like(parameter)
        if name in self._before:
            copy_into_corner(padded, self._before[name], name=name)
        return padded

    def _dropping(self, old: Mapping[str, Tensor]) -> Callable[..., Tensor | None]:
        def drop(layer: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor | None:
            if self._inside:
                return None
            self._inside = True
            try:
                before = functional_call(layer, dict(old), inputs)
            finally:
                self._inside = False
            return before + F.dropout(output - before, self.drop_transfer)

        return drop

    def _remove(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    def _release(self) -> None:
        """Drop what only a running experience needs, also one that failed."""
        self._remove()
        self._before, self._old, self._inside = {}, None, False


def _parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters of layers with weights."""
    return {
        f"{name}.{key}" if name else key: parameter
        for name, layer in weight_layers(model).items()
        for key, parameter in layer.named_parameters()
    }
