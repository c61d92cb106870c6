"""The features that a classifier is given, with their graph, while a model runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from cl_strategies.errors import UserError
from cl_strategies.plugins.features.extraction import calls, last_layer, wide
from cl_strategies.plugins.features.modes import evaluating
from cl_strategies.plugins.features.named_layer import USUAL, feature_layer


class Penultimate:
    """Catch the features of the forward passes between :meth:`open` and :meth:`close`.

    :param layer: the module whose output is the features; ``""``: ``backbone`` or ``features``
        where the model has one, else whatever the last layer with weights is given.
    """

    def __init__(self, layer: str) -> None:
        self.layer = layer
        self._classifier: nn.Module | None = None
        self._hook: Any = None
        self._caught: Tensor | None = None

    def find(self, model: nn.Module, forward: Callable[[], Any]) -> None:
        """Look for the layer.

        :param forward: a forward pass, for a model of which no module is known to give features.
        :raises UserError: if there is no such layer.
        """
        self._classifier = None
        if self.layer or any(name in dict(model.named_modules()) for name in USUAL):
            feature_layer(model, self.layer)
            return
        with torch.no_grad(), evaluating(model):
            self._classifier = last_layer(calls(model, forward))
        if self._classifier is None:
            raise UserError(
                f"{type(model).__name__} has no layer with weights that is given feature vectors: "
                "name the module whose output are the features with layer"
            )

    def open(self, model: nn.Module) -> None:
        """Begin to watch; not longer than for one step, so that no copy of the model watches,
        too."""
        self.close()
        if self._classifier is not None:
            self._hook = self._classifier.register_forward_pre_hook(self._note_input)
        else:
            layer = feature_layer(model, self.layer)
            self._hook = layer.register_forward_hook(self._note_output)

    def close(self) -> None:
        """Stop watching, and forget what was caught."""
        if self._hook is not None:
            self._hook.remove()
        self._hook = self._caught = None

    def take(self) -> Tensor | None:
        """Return the features of the last pass ``(N, d)``, of at least float32, once."""
        caught, self._caught = self._caught, None
        return None if caught is None else wide(caught.flatten(1))

    def _note_input(self, layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        if torch.is_grad_enabled():  # not while something evaluates the model
            self._caught = inputs[0]

    def _note_output(self, layer: nn.Module, inputs: Any, output: Tensor) -> None:
        if torch.is_grad_enabled():
            self._caught = output
