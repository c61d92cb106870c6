"""Penalties whose importances come from one more pass over the finished task: EWC, MAS, SCP.

Avalanche's plugins walk over every parameter of every past experience in each step. Past
penalties add up, ``sum_k F_k (theta - theta_k)**2 = F (theta - m)**2 + constant`` with
``F = sum_k F_k`` and ``m = sum_k F_k theta_k / F``, so that two tensors and the cost of one
penalty give the same gradients after any number of experiences.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, ClassVar

import torch
from avalanche.models import avalanche_forward
from torch import Tensor, nn
from torch.utils.data import DataLoader

from cl_strategies.plugins.classes.seen_classes import rule_out_unseen
from cl_strategies.plugins.features.modes import evaluating
from cl_strategies.plugins.loss_terms.added_gradient import PassCounter
from cl_strategies.plugins.protocols.training import TrainingStrategy
from cl_strategies.plugins.regularization.functional import accumulate_importance
from cl_strategies.plugins.regularization.plugin import SurrogatePlugin
from cl_strategies.plugins.regularization.surrogate import QuadraticSurrogate


class EstimatedSurrogate(QuadraticSurrogate):
    """A surrogate whose importances are handed to it at the end of each task."""

    needs_path: ClassVar[bool] = False

    @torch.no_grad()
    def end_experience_with(self, estimate: Mapping[str, Tensor]) -> None:
        """:meth:`end_experience` with the importances of the finished task, by parameter name."""
        self._estimate = self._layout.zeros()
        for name, part in self._layout.split(self._estimate).items():
            part.copy_(estimate[name])
        self.end_experience()
        del self._estimate

    def consolidate(self, state: Mapping[str, Tensor], theta: Tensor) -> dict[str, Tensor]:
        return self.merge(state["importance"], state["center"], self._estimate, theta)

    def merge(
        self, importance: Tensor, center: Tensor, estimate: Tensor, theta: Tensor
    ) -> dict[str, Tensor]:
        """Importance and, unless it is ``theta``, center of all tasks; elementwise."""
        raise NotImplementedError


class SumSurrogate(EstimatedSurrogate):
    """EWC with a penalty per task around that task's parameters: Kirkpatrick et al., PNAS 2017."""

    def merge(
        self, importance: Tensor, center: Tensor, estimate: Tensor, theta: Tensor
    ) -> dict[str, Tensor]:
        total = importance + estimate
        share = torch.where(total > 0, estimate / total, torch.ones_like(total))
        return {"importance": total, "center": torch.lerp(center, theta, share)}


class DecayingSurrogate(EstimatedSurrogate):
    """One penalty around the last parameters: online EWC (Schwarz et al., ICML 2018), MAS.

    :param old: weight of the old importances.
    :param new: weight of the new ones after the first task.
    """

    def __init__(self, *, old: float, new: float, **options: Any) -> None:
        super().__init__(**options)
        self.old, self.new = old, new

    def merge(
        self, importance: Tensor, center: Tensor, estimate: Tensor, theta: Tensor
    ) -> dict[str, Tensor]:
        if self.experiences == 0:
            return {"importance": estimate}
        return {
            "importance": accumulate_importance(importance, self.new * estimate, decay=self.old)
        }


class Estimation:
    """Estimates importances in evaluation mode over the batches of the finished experience.

    Where gradients accumulated over several mini-batches before each step of the optimizer, a
    batch is as many of them together. The plugin that this is a part of counts them.
    """

    _passes: PassCounter

    def estimated_on(self, strategy: TrainingStrategy) -> Any:
        """Return the data set to estimate the importances on."""
        return strategy.experience.dataset

    def batches(self, strategy: TrainingStrategy) -> DataLoader[Any]:
        """That data set in batches of the training's size, in order."""
        dataset = self.estimated_on(strategy)
        return DataLoader(dataset, batch_size=strategy.train_mb_size, collate_fn=dataset.collate_fn)

    def outputs(self, strategy: TrainingStrategy, batch: Sequence[Any]) -> tuple[Tensor, Tensor]:
        """Output of the model, with its graph, and labels of one mini-batch."""
        x, y = batch[0].to(strategy.device), batch[1].to(strategy.device)
        output = avalanche_forward(strategy.model, x, batch[-1])
        return rule_out_unseen(strategy, output, batch[-1]), y

    def estimate(self, strategy: TrainingStrategy) -> dict[str, Tensor]:
        """Importances on the current experience, by parameter name."""
        model, loader = strategy.model, self.batches(strategy)
        parameters = dict(model.named_parameters())
        estimate = {name: torch.zeros_like(parameter) for name, parameter in parameters.items()}
        passes = self._passes.per_step
        with evaluating(model):
            for batches in _together(loader, passes):
                share = -(-len(loader) // passes)
                self.add_contributions(strategy, batches, parameters, estimate, share)
        return estimate

    def add_contributions(
        self,
        strategy: TrainingStrategy,
        batches: Sequence[Sequence[Any]],
        parameters: Mapping[str, nn.Parameter],
        estimate: Mapping[str, Tensor],
        share: int,
    ) -> None:
        """Add what one batch contributes, divided by ``share``, to the importances.

        :param batches: its mini-batches.
        :param parameters: by name; ``estimate``: their importances so far, in the same order.
        """
        trained = {name: p for name, p in parameters.items() if p.requires_grad}
        samples = sum(len(batch[1]) for batch in batches)
        totals: dict[str, Tensor] = {}
        for batch in batches:
            output, labels = self.outputs(strategy, batch)
            objective = self.objective(strategy, output, labels) * (len(labels) / samples)
            gradients = torch.autograd.grad(objective, list(trained.values()), allow_unused=True)
            for name, gradient in zip(trained, gradients, strict=True):
                if gradient is not None:
                    totals[name] = gradient + totals[name] if name in totals else gradient
        for name, gradient in totals.items():
            estimate[name].add_(self.contribution(gradient) / share)

    def objective(self, strategy: TrainingStrategy, output: Tensor, labels: Tensor) -> Tensor:
        """Return what is differentiated, a scalar for a batch."""
        raise NotImplementedError

    def contribution(self, gradient: Tensor) -> Tensor:
        """Return what one batch's gradient adds to the importance."""
        raise NotImplementedError


class EstimatedPlugin(Estimation, SurrogatePlugin):
    """A penalty with importances estimated at the end of each experience."""

    surrogate: EstimatedSurrogate

    def after_training_exp(self, strategy: TrainingStrategy, *args: Any, **kwargs: Any) -> None:
        self.surrogate.end_experience_with(self.estimate(strategy))


def _together(loader: DataLoader[Any], count: int) -> Iterator[list[Any]]:
    """Lists of ``count`` batches, the last one of what is left."""
    batches = iter(loader)
    while group := list(islice(batches, count)):
        yield group
