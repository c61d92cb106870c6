"""Elastic weight consolidation: EWC (Kirkpatrick et al., PNAS 2017), online EWC (Schwarz et al.,
ICML 2018)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge
from torch import Tensor
from typing_extensions import Doc

from cl_strategies.plugins.classes.seen_classes import unseen_ruled_out
from cl_strategies.plugins.features.modes import evaluating
from cl_strategies.plugins.protocols.training import TrainingStrategy
from cl_strategies.plugins.regularization.estimated import (
    DecayingSurrogate,
    EstimatedPlugin,
    EstimatedSurrogate,
    Estimation,
    SumSurrogate,
)
from cl_strategies.plugins.regularization.fisher import sample_fisher
from cl_strategies.plugins.regularization.options import Exclude, Retained, Strength
from cl_strategies.validation.hyperparameters import hyperparameters
from cl_strategies.validation.parameter import Alias, Since

#: Which labels the gradient of each sample is taken at.
_LABELS = {"empirical": "true", "sampled": "sampled", "exact": "expected"}

Fisher = Annotated[
    Literal["batch", "empirical", "sampled", "exact"],
    Doc(
        'The importances. ``"batch"``, as in Avalanche: the squared gradient of the mean '
        "loss of a mini-batch, which depends on the batch size. Otherwise the Fisher "
        'information, the mean squared gradient of single samples: ``"empirical"`` with '
        'the true labels, ``"sampled"`` with labels drawn from the model\'s distribution '
        'as in the paper, ``"exact"`` with the expectation over it.'
    ),
]
FisherSamples = Annotated[
    int | None,
    Ge(1),
    Doc("Training samples to estimate from, drawn at random; ``None`` for all."),
]


@hyperparameters
def ewc_surrogate(
    *,
    strength: Annotated[Strength, Alias("ewc_lambda")] = 100.0,
    mode: Annotated[
        Literal["separate", "online"],
        Doc(
            '``"separate"``: a penalty per experience around its own parameters; ``"online"``: one '
            "around the last. Both cost the same after any number of experiences."
        ),
    ] = "separate",
    decay_factor: Retained = 1.0,
    exclude: Exclude = (),
) -> EstimatedSurrogate:
    """Return the penalty of EWC.

    :raises UserError: for an option out of its range.
    """
    if mode == "separate":
        return SumSurrogate(strength=strength, exclude=exclude)
    return DecayingSurrogate(strength=strength, old=decay_factor, new=1.0, exclude=exclude)


class FisherEstimation(Estimation):
    """Estimates of the Fisher information, for plugins with the options that choose one."""

    fisher: str
    fisher_samples: int | None

    def estimated_on(self, strategy: TrainingStrategy) -> Any:
        dataset = super().estimated_on(strategy)
        if self.fisher_samples is None or self.fisher_samples >= len(dataset):
            return dataset
        return dataset.subset(torch.randperm(len(dataset))[: self.fisher_samples].tolist())

    def estimate(self, strategy: TrainingStrategy) -> dict[str, Tensor]:
        if self.fisher == "batch":
            return super().estimate(strategy)
        model, device = strategy.model, strategy.device
        batches = ((b[0].to(device), b[1].to(device).long(), b[-1]) for b in self.batches(strategy))
        with evaluating(model), unseen_ruled_out(strategy):
            return sample_fisher(model, batches, _LABELS[self.fisher], strategy._criterion)

    def objective(self, strategy: TrainingStrategy, output: Tensor, labels: Tensor) -> Tensor:
        return strategy._criterion(output, labels.long())

    def contribution(self, gradient: Tensor) -> Tensor:
        return gradient.square()


class EWCPlugin(FisherEstimation, EstimatedPlugin):
    """Elastic weight consolidation, by default with Avalanche's estimate of importances.

    ``decay_factor`` acts in online mode only.
    """

    surrogate_class = staticmethod(ewc_surrogate)

    def __init__(
        self,
        *,
        fisher: Annotated[Fisher, Since("0.2")] = "batch",
        fisher_samples: Annotated[FisherSamples, Since("0.2")] = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.fisher = fisher
        self.fisher_samples = fisher_samples
