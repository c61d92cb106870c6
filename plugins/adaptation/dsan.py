"""DSAN (Zhu, Zhuang, Wang, Ke, Chen, Bian, Xiong, He, "Deep Subdomain Adaptation Network for Image
Classification", TNNLS 2021)."""

from __future__ import annotations

from typing import Annotated, Any

from annotated_types import Ge, Gt
from torch import Tensor
from typing_extensions import Doc

from cl_strategies.plugins.adaptation.functional import lmmd
from cl_strategies.plugins.adaptation.plugin import AdaptationPlugin
from cl_strategies.plugins.classes.experience import mini_batch_task_labels
from cl_strategies.plugins.classes.seen_classes import rule_out_unseen
from cl_strategies.plugins.features.extraction import wide
from cl_strategies.plugins.protocols.training import TrainingStrategy
from cl_strategies.validation.hyperparameters import hyperparameters


@hyperparameters
class DSANPlugin(AdaptationPlugin):
    """Draw the features of each class in one domain to those of the same class in the other.

    The local maximum mean discrepancy between the mini-batch and as many images of the target
    enters the loss. Images of the target belong to the classes by the probabilities that the
    network itself gives them.

    :raises UserError: for an option out of its range, or a target without images.
    """

    def __init__(
        self,
        *,
        strength: Annotated[float, Ge(0), Doc("Weight of the adaptation at its end.")] = 0.5,
        kernels: Annotated[int, Ge(1), Doc("Number of Gaussian kernels.")] = 5,
        factor: Annotated[float, Gt(0), Doc("From the width of one kernel to the next.")] = 2.0,
        **options: Any,
    ) -> None:
        super().__init__(strength=strength, **options)
        self.kernels, self.factor = kernels, factor

    def discrepancy(
        self, strategy: TrainingStrategy, source: Tensor, target: Tensor, logits: Any
    ) -> Tensor:
        known = rule_out_unseen(strategy, logits, mini_batch_task_labels(strategy))
        probabilities = wide(known).softmax(1)
        value = lmmd(
            source,
            target,
            strategy.mb_y,
            probabilities,
            kernels=self.kernels,
            factor=self.factor,
        )
        return self.weight * value
