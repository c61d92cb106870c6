"""FOSTER (Wang, Zhou, Ye, Zhan, "FOSTER: Feature Boosting and Compression for Class-Incremental
Learning", ECCV 2022)."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

import torch
from annotated_types import Ge, Lt
from torch import Tensor, nn
from typing_extensions import Doc

from cl_strategies.errors import UserError
from cl_strategies.plugins.features.modes import evaluating, take_over
from cl_strategies.plugins.incremental.classifiers import Classifier
from cl_strategies.plugins.incremental.functional import distillation, effective_number_weights
from cl_strategies.plugins.incremental.method import IncrementalMethod, index_loss
from cl_strategies.plugins.incremental.methods.expandable import ExpandableNetwork
from cl_strategies.plugins.incremental.methods.weight_aligning import align_classifier
from cl_strategies.plugins.incremental.network import Outputs
from cl_strategies.plugins.incremental.options import (
    DistillationWeight,
    StageSchedule,
    Temperature,
)
from cl_strategies.plugins.incremental.strategy import IncrementalStrategy
from cl_strategies.plugins.incremental.training import train_part
from cl_strategies.validation.hyperparameters import hyperparameters


class Student(nn.Module):
    """One backbone and a classifier: what boosting is compressed to.

    :param backbone: from images to features.
    :param classifier: of those features.
    """

    def __init__(self, backbone: nn.Module, classifier: Classifier) -> None:
        super().__init__()
        self.backbone = backbone
        self.classifier = classifier

    def outputs(self, x: Tensor) -> Outputs:
        """:param x: images ``(N, C, H, W)``."""
        features = self.backbone(x)
        return Outputs(features, self.classifier(features))


class BoostedNetwork(ExpandableNetwork):
    """The frozen student of the last experience beside a new backbone.

    :param evaluated: ``"teacher"``, both backbones, or ``"student"``.
    :ivar before: the old classifier, while an experience lasts.
    :ivar auxiliary: a classifier of all classes on the new backbone alone, likewise.
    :ivar student: what the last experience was compressed to, from the second experience on.
    """

    def __init__(self, backbone: nn.Module, n_features: int, evaluated: str) -> None:
        super().__init__(backbone, n_features)
        self.evaluated = evaluated
        self.before: Classifier | None = None
        self.student: Student | None = None

    def boost(self, classes: Sequence[int]) -> None:
        """Begin an experience after the first."""
        trained = self.backbone[-1]
        last = self.student or Student(trained, self.classifier)
        take_over(last.backbone, trained)  # a student is frozen and in evaluation mode
        self.backbone = nn.ModuleList([last.backbone])
        self.classifier = copy.deepcopy(last.classifier).requires_grad_(True)
        self.before = last.classifier.requires_grad_(False)
        self.student = None
        self.expand()
        self.grow(classes)
        auxiliary = Classifier(self.n_features).to(self.classifier.new)
        auxiliary.grow(len(self.order))
        self.auxiliary = auxiliary

    def fresh_student(self, n_new: int) -> Student:
        """Return a student that knows what the old network knew, trained as the new backbone
        was."""
        if self.before is None:
            raise UserError("there is nothing to compress in the first experience")
        student = Student(copy.deepcopy(self.backbone[0]), copy.deepcopy(self.before))
        take_over(student.backbone, self.backbone[-1])
        student.classifier.requires_grad_(True).grow(n_new)
        return student

    def settle(self, student: Student) -> None:
        """End an experience."""
        self.student = student.eval().requires_grad_(False)
        self.before = self.auxiliary = None

    def outputs(self, x: Tensor) -> Outputs:
        if self.student is not None and self.evaluated == "student":
            return self.student.outputs(x)
        return super().outputs(x)

    def combine(self, parts: list[Tensor]) -> Outputs:
        outputs = super().combine(parts)
        if self.watched and self.before is not None:
            outputs.before = self.before(parts[0])
        return outputs

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        for part in (self.student, self.before):
            if part is not None:
                part.eval()
        return self


@hyperparameters
class FosterMethod(IncrementalMethod[BoostedNetwork]):
    """A new backbone boosts the frozen old network; then both are compressed into one.

    :raises UserError: for an option out of its range.
    """

    def __init__(
        self,
        *,
        temperature: Temperature = 2.0,
        distillation_weight: DistillationWeight = 1.0,
        beta: Annotated[
            float,
            Ge(0),
            Lt(1),
            Doc("Beta of the effective numbers that logits are divided by while boosting."),
        ] = 0.97,
        compress_beta: Annotated[
            float,
            Ge(0),
            Lt(1),
            Doc("Beta of the effective numbers that balance the distillation of the compression."),
        ] = 0.97,
        compress_epochs: Annotated[
            int, Ge(0), Doc("Epochs of the compression; 0 for as many as an experience has.")
        ] = 0,
        compress_schedule: StageSchedule = "run",
        align: Annotated[
            float,
            Ge(0),
            Doc("Value by which rows of new classes are aligned after both stages; 0 for not."),
        ] = 0.0,
        evaluate: Annotated[
            Literal["teacher", "student"],
            Doc('What is evaluated: ``"teacher"``, both backbones, or ``"student"``, one.'),
        ] = "teacher",
    ) -> None:
        super().__init__()
        self.temperature = temperature
        self.distillation_weight = distillation_weight
        self.beta = beta
        self.compress_beta = compress_beta
        self.compress_epochs = compress_epochs
        self.compress_schedule = compress_schedule
        self.align = align
        self.evaluate = evaluate
        self._counts: list[int] = []
        self._weights: Tensor | None = None

    def network(self, backbone: nn.Module, n_features: int) -> BoostedNetwork:
        return BoostedNetwork(backbone, n_features, self.evaluate)

    def rebuild(
        self,
        network: BoostedNetwork,
        experiences: Sequence[Sequence[int]],
        structure: Mapping[str, Any],
    ) -> None:
        for experience, classes in enumerate(experiences):
            if experience:
                network.boost(classes)
                network.settle(network.fresh_student(len(classes)))
            else:
                network.grow(classes)

    def begin(self, strategy: IncrementalStrategy, classes: Sequence[int]) -> None:
        network: BoostedNetwork = strategy.model
        self.n_old = len(network.order)
        if not self.n_old:
            network.grow(classes)
            return
        network.boost(classes)
        seen = Counter(int(label) for label in strategy.adapted_dataset.targets)
        self._counts = [max(1, seen[label]) for label in network.order]
        self._weights = self._balance(strategy, self.beta)

    def loss(
        self, strategy: IncrementalStrategy, outputs: Outputs, x: Tensor, indices: Tensor
    ) -> Tensor:
        if outputs.before is None or outputs.auxiliary is None or self._weights is None:
            return super().loss(strategy, outputs, x, indices)
        kept = distillation(
            outputs.logits[:, : self.n_old], outputs.before, temperature=self.temperature
        )
        boosted = index_loss(strategy, outputs.logits / self._weights, indices)
        alone = index_loss(strategy, outputs.auxiliary, indices)
        return boosted + alone + self.distillation_weight * kept

    def finish(self, strategy: IncrementalStrategy) -> None:
        if not self.n_old:
            return
        network: BoostedNetwork = strategy.model
        if self.align:
            align_classifier(network.classifier, value=self.align)
        student = self.compress(strategy)
        if self.align:
            align_classifier(student.classifier, value=self.align)
        network.settle(student)
        self._weights = None

    def compress(self, strategy: IncrementalStrategy) -> Student:
        """Distil both backbones into one, old and new classes balanced."""
        network: BoostedNetwork = strategy.model
        student = network.fresh_student(len(network.order) - self.n_old)
        weights = self._balance(strategy, self.compress_beta)

        def loss(x: Tensor, y: Tensor) -> Tensor:
            with torch.no_grad():
                teacher = network.outputs(x).logits
            logits = student.outputs(x).logits
            return distillation(logits, teacher, temperature=self.temperature, weights=weights)

        with evaluating(network):
            train_part(
                strategy,
                strategy.adapted_dataset,
                student.parameters(),
                loss,
                epochs=self.compress_epochs or strategy.train_epochs,
                schedule=self.compress_schedule,
                weight_decay=0.0,
            )
        return student

    def _balance(self, strategy: IncrementalStrategy, beta: float) -> Tensor:
        weights = effective_number_weights(self._counts, beta)
        return weights.to(strategy.device, torch.get_default_dtype())
