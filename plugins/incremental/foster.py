"""FOSTER (Wang, Zhou, Ye, Zhan, "FOSTER: Feature Boosting and Compression for Class-Incremental
Learning", ECCV 2022)."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from cl_strategies.errors import UserError
from cl_strategies.plugins.exemplars.losses import distillation, effective_number_weights
from cl_strategies.plugins.incremental.classifiers import Classifier
from cl_strategies.plugins.incremental.expandable import ExpandableNetwork
from cl_strategies.plugins.incremental.method import IncrementalMethod, unit_loss
from cl_strategies.plugins.incremental.network import Outputs
from cl_strategies.plugins.incremental.rates import check_schedule
from cl_strategies.plugins.incremental.training import train_part
from cl_strategies.plugins.incremental.weight_aligning import align_classifier
from cl_strategies.plugins.modes import evaluating, take_over
from cl_strategies.ranges import not_negative, positive

EVALUATED = ("teacher", "student")


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
    """The frozen student of the last phase beside a new backbone.

    :param evaluated: ``"teacher"``, both backbones, or ``"student"``.
    :ivar before: the old classifier, while a phase lasts.
    :ivar auxiliary: a classifier of all classes on the new backbone alone, while a phase lasts.
    :ivar student: what the last phase was compressed to, from the second phase on.
    """

    def __init__(self, backbone: nn.Module, n_features: int, evaluated: str) -> None:
        super().__init__(backbone, n_features)
        self.evaluated = evaluated
        self.before: Classifier | None = None
        self.student: Student | None = None

    def boost(self, classes: Sequence[int]) -> None:
        """Begin a phase after the first."""
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
        """A student that knows what the old network knew, trained as the new backbone was."""
        if self.before is None:
            raise UserError("there is nothing to compress in the first phase")
        student = Student(copy.deepcopy(self.backbone[0]), copy.deepcopy(self.before))
        take_over(student.backbone, self.backbone[-1])
        student.classifier.requires_grad_(True).grow(n_new)
        return student

    def settle(self, student: Student) -> None:
        """End a phase."""
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


class FosterMethod(IncrementalMethod[BoostedNetwork]):
    """A new backbone boosts the frozen old network; then both are compressed into one.

    :param temperature: of both distillations.
    :param distillation_weight: weight of the distillation of old classes, lambda_okd.
    :param beta: of the effective numbers that the scores are divided by while boosting.
    :param compress_beta: of those that balance the distillation of the compression.
    :param compress_epochs: of the compression; 0 for as many as of a phase.
    :param compress_schedule: of its learning rate: ``"run"``, stretched over its epochs, or
        ``"constant"``.
    :param align: value by which rows of new classes are aligned after both stages; 0 for not.
    :param evaluate: ``"teacher"``, both backbones, or ``"student"``, one.
    :raises UserError: for another ``evaluate``, or a number out of range.
    """

    def __init__(
        self,
        *,
        temperature: float = 2.0,
        distillation_weight: float = 1.0,
        beta: float = 0.97,
        compress_beta: float = 0.97,
        compress_epochs: int = 0,
        compress_schedule: str = "run",
        align: float = 0.0,
        evaluate: str = "teacher",
    ) -> None:
        positive(temperature=temperature)
        check_schedule(compress_schedule=compress_schedule)
        not_negative(
            distillation_weight=distillation_weight, compress_epochs=compress_epochs, align=align
        )
        super().__init__()
        if evaluate not in EVALUATED:
            raise UserError(f"evaluate is {evaluate!r}: use {' or '.join(EVALUATED)}")
        for name, value in (("beta", beta), ("compress_beta", compress_beta)):
            if not 0 <= value < 1:
                raise UserError(f"{name} is {value}: give a number from 0 to below 1")
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
        self, network: BoostedNetwork, phases: Sequence[Sequence[int]], structure: Mapping[str, Any]
    ) -> None:
        for phase, classes in enumerate(phases):
            if phase:
                network.boost(classes)
                network.settle(network.fresh_student(len(classes)))
            else:
                network.grow(classes)

    def begin(self, strategy: Any, classes: Sequence[int]) -> None:
        network: BoostedNetwork = strategy.model
        self.n_old = len(network.order)
        if not self.n_old:
            network.grow(classes)
            return
        network.boost(classes)
        seen = Counter(int(label) for label in strategy.adapted_dataset.targets)
        self._counts = [max(1, seen[label]) for label in network.order]
        self._weights = self._balance(strategy, self.beta)

    def loss(self, strategy: Any, outputs: Outputs, x: Tensor, units: Tensor) -> Tensor:
        if outputs.before is None or outputs.auxiliary is None or self._weights is None:
            return super().loss(strategy, outputs, x, units)
        kept = distillation(
            outputs.scores[:, : self.n_old], outputs.before, temperature=self.temperature
        )
        boosted = unit_loss(strategy, outputs.scores / self._weights, units)
        alone = unit_loss(strategy, outputs.auxiliary, units)
        return boosted + alone + self.distillation_weight * kept

    def finish(self, strategy: Any) -> None:
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

    def compress(self, strategy: Any) -> Student:
        """Distil both backbones into one, old and new classes balanced."""
        network: BoostedNetwork = strategy.model
        student = network.fresh_student(len(network.order) - self.n_old)
        weights = self._balance(strategy, self.compress_beta)

        def loss(x: Tensor, y: Tensor) -> Tensor:
            with torch.no_grad():
                teacher = network.outputs(x).scores
            scores = student.outputs(x).scores
            return distillation(scores, teacher, temperature=self.temperature, weights=weights)

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

    def _balance(self, strategy: Any, beta: float) -> Tensor:
        weights = effective_number_weights(self._counts, beta)
        return weights.to(strategy.device, torch.get_default_dtype())
