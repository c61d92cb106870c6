"""Train one network after the other, and evaluate what they are merged into."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge, Le
from avalanche.core import SupervisedPlugin
from torch import Tensor, nn
from typing_extensions import Doc

from cl_strategies.errors import UserError
from cl_strategies.plugins.merging.past_networks import PastNetworks
from cl_strategies.plugins.protocols.training import TrainingStrategy
from cl_strategies.plugins.regularization.flat_tensors import copy_into_corner
from cl_strategies.validation.hyperparameters import hyperparameters

Alpha = Annotated[
    float | None,
    Ge(0),
    Le(1),
    Doc(
        "Weight of the last network; the others have equal shares of the rest. ``None``: all "
        "networks alike, ``1 / K`` of ``K``."
    ),
]


@hyperparameters
class IMMMeanPlugin(SupervisedPlugin):
    """Evaluate the mean of the networks that the experiences left (mean-IMM).

    Each experience goes on with the network of the one before. Before an evaluation between
    experiences the merged parameters take the place of the model's, and afterwards the model has
    its own again, in every bit. Evaluations within an experience are of the network in training,
    and so is whatever other plugins read of the model: :meth:`merged` is for them.

    What is merged: parameters that are trained, and the running statistics of normalizations.
    Frozen parameters and other buffers are those of the model.
    """

    #: Whether the networks are weighted by a precision of each parameter.
    weighs: ClassVar[bool] = False

    def __init__(self, *, alpha: Alpha = None) -> None:
        super().__init__()
        self.alpha = alpha
        self.past = PastNetworks()
        self._finished: dict[str, torch.Size] = {}
        self._precisions: dict[str, Tensor] = {}
        self._own: dict[str, Tensor] = {}

    @property
    def networks(self) -> int:
        """Number of networks that have been finished."""
        return self.past.count + bool(self._finished)

    @contextmanager
    def merged(self, model: nn.Module) -> Iterator[None]:
        """Give ``model`` the merged parameters within the context, then its own back.

        For what is done with a trained model: exporting, packing, copying, looking at answers.
        """
        self._merge(model)
        try:
            yield
        finally:
            self.put_back(model)

    def before_train_dataset_adaptation(
        self, strategy: TrainingStrategy, *args: Any, **kwargs: Any
    ) -> None:
        """Count the network of the experience before, which training now leaves behind.

        :raises UserError: if the model is another one than before, or a parameter of it shrank.
        """
        model = strategy.model
        self.put_back(model)
        if self._finished:
            self.past.add(self._last(model), self._precisions)
            self._finished, self._precisions = {}, {}

    def after_training_exp(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        self._precisions = self.precisions(strategy)
        values = self._trained(strategy.model)
        self._finished = {name: value.shape for name, value in values.items()}

    def before_eval(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        self._merge(strategy.model)

    def after_eval(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        self.put_back(strategy.model)

    def precisions(self, strategy: TrainingStrategy) -> dict[str, Tensor]:
        """Return the precision of each parameter after an experience; empty: all alike."""
        return {}

    @torch.no_grad()
    def put_back(self, model: nn.Module) -> None:
        """End what an evaluation has begun, also one that ended with an error."""
        tensors = _tensors(model)
        for name, own in self._own.items():
            if name in tensors:  # a head that grew in the evaluation keeps its new rows
                copy_into_corner(tensors[name], own, name=name)
        self._own = {}

    @torch.no_grad()
    def _merge(self, model: nn.Module) -> None:
        if not self._finished or not self.past.count or self._own:
            return
        tensors = _tensors(model)
        self.past.check(tensors)
        for name, value in self._last(model).items():
            if not tensors[name].requires_grad and isinstance(tensors[name], nn.Parameter):
                continue
            merged = self.past.merged(name, value, self._precisions.get(name), alpha=self.alpha)
            self._own[name] = value.clone()
            value.copy_(merged)

    def _last(self, model: nn.Module) -> dict[str, Tensor]:
        """Return the part of the model's tensors that the last experience left: views of them."""
        tensors = _tensors(model)
        return {
            name: tensors[name].detach()[tuple(slice(length) for length in shape)]
            for name, shape in self._finished.items()
            if name in tensors
        }

    def _trained(self, model: nn.Module) -> dict[str, Tensor]:
        return {
            name: value
            for name, value in _tensors(model).items()
            if name in self.past or value.requires_grad or not isinstance(value, nn.Parameter)
        }

    def state_dict(self) -> dict[str, Any]:
        """State between two experiences: tensors and plain data."""
        return {
            "past": self.past.state_dict(),
            "finished": {name: list(shape) for name, shape in self._finished.items()},
            "precisions": {name: value.clone() for name, value in self._precisions.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Replace the state by one that :meth:`state_dict` made.

        :raises UserError: if the other of the two methods made it.
        """
        if state["finished"] and bool(state["precisions"]) != self.weighs:
            raise UserError(
                f"the state is of networks {'with' if state['precisions'] else 'without'} "
                f"precisions, which {type(self).__name__} has not saved: load it into the method "
                "that saved it"
            )
        self.past.load_state_dict(state["past"])
        self._finished = {name: torch.Size(shape) for name, shape in state["finished"].items()}
        self._precisions = {name: value.clone() for name, value in state["precisions"].items()}
        self._own = {}


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    """Return what networks differ in: parameters, and running statistics of normalizations."""
    tensors: dict[str, Tensor] = dict(model.named_parameters())
    for name, module in model.named_modules():
        if isinstance(module, nn.modules.batchnorm._NormBase):
            for kind in ("running_mean", "running_var"):
                statistic = getattr(module, kind)
                if statistic is not None:
                    tensors[f"{name}.{kind}" if name else kind] = statistic
    return tensors
