"""One independent model per experience: no transfer and no forgetting."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from typing import Any

from avalanche.models.dynamic_modules import avalanche_model_adaptation
from torch import nn

from cl_strategies.io.packing import stacked, unstacked
from cl_strategies.plugins.features.modes import take_over
from cl_strategies.strategies.templates.base import Strategy
from cl_strategies.strategies.templates.isolation import refuse_guards


class SingleTask(Strategy):
    """Train a fresh copy of the initial weights on each experience, and keep every copy.

    An experience is evaluated with the model that was trained on the experience of the same
    position; one that was not trained yet, with the latest model. The identity of the
    experience is thus used at evaluation, in every scenario.

    :param template: arguments of :class:`~cl_strategies.strategies.templates.base.Strategy`.
    :raises UserError: for a plugin that guards earlier experiences, such as a penalty or replay.
    """

    model: nn.Module
    needs_whole_experiences = "keeps a model for every experience of the stream"

    def __init__(self, **template: Any) -> None:
        super().__init__(**template)
        refuse_guards(self.plugins, "SingleTask trains a model of its own for each experience")
        self.initial: nn.Module = copy.deepcopy(self.model)
        self.models: dict[int, nn.Module] = {}
        self._latest: nn.Module = self.model
        self._seen: dict[int, Any] = {}  # the classes that each model has seen
        self._latest_seen = self.seen_classes.state_dict()

    @property
    def fixed_tasks(self) -> bool:
        """A model is left alone once its experience is over."""
        return True

    def _before_training_exp(self, **kwargs: Any) -> None:
        self.seen_classes.load_state_dict({"seen": ""})
        super()._before_training_exp(**kwargs)
        self._latest_seen = self.seen_classes.state_dict()
        self._seen[self.experience.current_experience] = self._latest_seen

    def check_model_and_optimizer(self, **kwargs: Any) -> None:
        if self.models:
            fresh = copy.deepcopy(self.initial)
            take_over(fresh, self.model)
            self.model = fresh.to(self.device)
        super().check_model_and_optimizer(**kwargs)
        self._latest = self.model

    def make_optimizer(self, **kwargs: Any) -> None:
        """Make a fresh optimizer state for a fresh model."""
        super().make_optimizer(**{**kwargs, "reset_optimizer_state": True, "remove_params": True})

    def _after_training_exp(self, **kwargs: Any) -> None:
        self.models[self.experience.current_experience] = self.model
        super()._after_training_exp(**kwargs)

    def _before_eval_exp(self, **kwargs: Any) -> None:
        position = self.experience.current_experience
        self.model = self.models.get(position, self._latest).eval()
        self.seen_classes.load_state_dict(self._seen.get(position, self._latest_seen))
        super()._before_eval_exp(**kwargs)

    def _eval_cleanup(self) -> None:
        super()._eval_cleanup()
        self.model = self._latest
        self.seen_classes.load_state_dict(self._latest_seen)

    def method_state_dict(self) -> dict[str, Any]:
        """Return the initial weights, those of every model but the latest, and what each has seen.

        The latest is ``strategy.model``, which a checkpoint holds already.
        """
        latest = [position for position, model in self.models.items() if model is self._latest]
        return {
            "initial": self.initial.state_dict(),
            "positions": list(self.models),
            "latest": latest,
            "weights": stacked(
                {
                    f"{position}.{name}": tensor
                    for position, model in self.models.items()
                    if position not in latest
                    for name, tensor in model.state_dict(keep_vars=True).items()
                }
            ),
            "seen": json.dumps(list(self._seen.items())),
        }

    def load_method_state_dict(self, state: Mapping[str, Any], experiences: Sequence[Any]) -> None:
        """Rebuild the models of ``experiences`` (all that were trained on)."""
        self.initial.load_state_dict(state["initial"])
        by_position = {experience.current_experience: experience for experience in experiences}
        self._seen = {position: seen for position, seen in json.loads(state["seen"])}
        weights: dict[int, dict[str, Any]] = {position: {} for position in state["positions"]}
        for name, tensor in unstacked(state["weights"]).items():
            at, _, own = name.partition(".")
            weights[int(at)][own] = tensor
        for position in state["positions"]:
            model = copy.deepcopy(self.initial).train()
            avalanche_model_adaptation(model, by_position[position])
            if position in state["latest"]:
                self.model = self._latest = model
                self._latest_seen = self._seen[position]
            else:
                model.load_state_dict(weights[position])
            self.models[position] = model.to(self.device)
