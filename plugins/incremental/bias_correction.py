"""BiC (Wu, Chen, Wang, Ye, Liu, Guo, Fu, "Large Scale Incremental Learning", CVPR 2019)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cl_strategies.errors import UserError
from cl_strategies.plugins.exemplars.features import batches
from cl_strategies.plugins.incremental.classifiers import Classifier
from cl_strategies.plugins.incremental.method import IncrementalMethod, unit_loss
from cl_strategies.plugins.incremental.network import IncrementalNetwork, Outputs
from cl_strategies.plugins.incremental.rates import check_schedule, stage_factor
from cl_strategies.plugins.modes import evaluating
from cl_strategies.ranges import not_negative, positive


class CorrectedNetwork(IncrementalNetwork):
    """Scores of the classes of each phase times one number plus another.

    :ivar corrections: factor and offset of each class, ``(C, 2)``; those of a phase are equal.
    """

    corrections: Tensor

    def __init__(self, backbone: nn.Module, n_features: int) -> None:
        super().__init__(backbone, Classifier(n_features))
        self.register_buffer("corrections", torch.empty(0, 2))

    def grow(self, classes: Sequence[int]) -> None:
        super().grow(classes)
        fresh = self.corrections.new_tensor([[1.0, 0.0]]).repeat(len(classes), 1)
        self.corrections = torch.cat([self.corrections, fresh])

    def outputs(self, x: Tensor) -> Outputs:
        outputs = super().outputs(x)
        outputs.scores = outputs.scores * self.corrections[:, 0] + self.corrections[:, 1]
        return outputs


class BiasCorrectionMethod(IncrementalMethod[CorrectedNetwork]):
    """Distillation, then a linear correction of the new classes' scores on held-out samples.

    :param temperature: of the distillation, whose weight is the share of old classes.
    :param held_out: share of the exemplars that is held out for the correction, with equally many
        new samples per class.
    :param correction_epochs: steps of the correction, each on all held-out samples.
    :param correction_lr: their first learning rate, with Adam.
    :param correction_schedule: of it: ``"run"``, stretched over those steps, or ``"constant"``.
    :raises UserError: for a share out of range.
    """

    def __init__(
        self,
        *,
        temperature: float = 2.0,
        held_out: float = 0.1,
        correction_epochs: int = 200,
        correction_lr: float = 0.01,
        correction_schedule: str = "run",
    ) -> None:
        check_schedule(correction_schedule=correction_schedule)
        positive(temperature=temperature, correction_lr=correction_lr)
        not_negative(correction_epochs=correction_epochs)
        super().__init__()
        if not 0 < held_out < 1:
            raise UserError(f"held_out is {held_out}: give a share above 0 and below 1")
        self.temperature = temperature
        self.held_out = held_out
        self.correction_epochs = correction_epochs
        self.correction_lr = correction_lr
        self.correction_schedule = correction_schedule
        self._validation: Any = None

    def network(self, backbone: nn.Module, n_features: int) -> CorrectedNetwork:
        return CorrectedNetwork(backbone, n_features)

    def hold_out(self, strategy: Any) -> None:
        dataset = strategy.adapted_dataset
        old = set(strategy.model.order)
        rows: dict[int, list[int]] = defaultdict(list)
        for row in torch.randperm(len(dataset)).tolist():
            rows[int(dataset.targets[row])].append(row)
        sizes = [len(members) for label, members in rows.items() if label in old]
        count = max(1, round(self.held_out * min(sizes, default=0)))
        if min(sizes, default=0) <= count:
            self._validation = None  # nothing old to spare
            return
        held = sorted(row for members in rows.values() for row in members[:count])
        kept = sorted(row for members in rows.values() for row in members[count:])
        self._validation = dataset.subset(held)
        strategy.adapted_dataset = dataset.subset(kept)

    def loss(self, strategy: Any, outputs: Outputs, x: Tensor, units: Tensor) -> Tensor:
        loss = super().loss(strategy, outputs, x, units)
        if self.old is None:
            return loss
        share = self.n_old / outputs.scores.shape[1]
        return (1 - share) * loss + share * self.distilled(outputs, x, self.temperature)

    def finish(self, strategy: Any) -> None:
        if self._validation is None:
            return
        network: CorrectedNetwork = strategy.model
        scores, units = _scores(strategy, self._validation)
        pair = torch.tensor([1.0, 0.0], device=scores.device, requires_grad=True)
        optimizer = torch.optim.Adam([pair], lr=self.correction_lr)
        for step in range(self.correction_epochs):
            factor = stage_factor(strategy, self.correction_schedule, step, self.correction_epochs)
            optimizer.param_groups[0]["lr"] = self.correction_lr * factor
            corrected = torch.cat(
                [scores[:, : self.n_old], scores[:, self.n_old :] * pair[0] + pair[1]], dim=1
            )
            loss = unit_loss(strategy, corrected, units)
            (pair.grad,) = torch.autograd.grad(loss, [pair])
            optimizer.step()
        network.corrections[self.n_old :] = pair.detach()
        self._validation = None


@torch.no_grad()
def _scores(strategy: Any, dataset: Any) -> tuple[Tensor, Tensor]:
    """Scores ``(N, C)`` and units ``(N,)`` of a data set under ``eval`` transforms."""
    network = strategy.model
    scores, units = [], []
    with evaluating(network):
        for x, y, *_ in batches(dataset.eval(), strategy.eval_mb_size):
            scores.append(network.outputs(x.to(strategy.device)).scores)
            units.append(network.unit_of(y.to(strategy.device)))
    return torch.cat(scores), torch.cat(units)
