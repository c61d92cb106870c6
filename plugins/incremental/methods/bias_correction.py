"""BiC (Wu, Chen, Wang, Ye, Liu, Guo, Fu, "Large Scale Incremental Learning", CVPR 2019)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Annotated, Any

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor, nn
from typing_extensions import Doc

from cl_strategies.plugins.features.extraction import batches
from cl_strategies.plugins.features.modes import evaluating
from cl_strategies.plugins.incremental.classifiers import Classifier
from cl_strategies.plugins.incremental.method import IncrementalMethod, index_loss
from cl_strategies.plugins.incremental.network import IncrementalNetwork, Outputs
from cl_strategies.plugins.incremental.options import (
    StageSchedule,
    Temperature,
)
from cl_strategies.plugins.incremental.rates import stage_factor
from cl_strategies.plugins.incremental.strategy import IncrementalStrategy
from cl_strategies.validation.hyperparameters import hyperparameters


class CorrectedNetwork(IncrementalNetwork):
    """Logits of the classes of each experience times one number plus another.

    :ivar corrections: factor and offset of each class, ``(C, 2)``, equal within an experience.
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
        outputs.logits = outputs.logits * self.corrections[:, 0] + self.corrections[:, 1]
        return outputs


@hyperparameters
class BiasCorrectionMethod(IncrementalMethod[CorrectedNetwork]):
    """Distillation, then a linear correction of the new classes' logits on held-out samples.

    :raises UserError: for an option out of its range.
    """

    def __init__(
        self,
        *,
        temperature: Temperature = 2.0,
        held_out: Annotated[
            float,
            Gt(0),
            Lt(1),
            Doc(
                "Share of the exemplars that is held out for the correction, with equally many "
                "new samples per class."
            ),
        ] = 0.1,
        correction_epochs: Annotated[
            int, Ge(0), Doc("Steps of the correction, each on all held-out samples.")
        ] = 200,
        correction_lr: Annotated[
            float, Gt(0), Doc("Initial learning rate of the correction, with Adam.")
        ] = 0.01,
        correction_schedule: StageSchedule = "run",
    ) -> None:
        super().__init__()
        self.temperature = temperature
        self.held_out = held_out
        self.correction_epochs = correction_epochs
        self.correction_lr = correction_lr
        self.correction_schedule = correction_schedule
        self._validation: Any = None

    def network(self, backbone: nn.Module, n_features: int) -> CorrectedNetwork:
        return CorrectedNetwork(backbone, n_features)

    def hold_out(self, strategy: IncrementalStrategy) -> None:
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

    def loss(
        self, strategy: IncrementalStrategy, outputs: Outputs, x: Tensor, indices: Tensor
    ) -> Tensor:
        loss = super().loss(strategy, outputs, x, indices)
        if self.old is None:
            return loss
        share = self.n_old / outputs.logits.shape[1]
        return (1 - share) * loss + share * self.distilled(outputs, x, self.temperature)

    def finish(self, strategy: IncrementalStrategy) -> None:
        if self._validation is None:
            return
        network: CorrectedNetwork = strategy.model
        logits, indices = _scores(strategy, self._validation)
        pair = torch.tensor([1.0, 0.0], device=logits.device, requires_grad=True)
        optimizer = torch.optim.Adam([pair], lr=self.correction_lr)
        for step in range(self.correction_epochs):
            factor = stage_factor(strategy, self.correction_schedule, step, self.correction_epochs)
            optimizer.param_groups[0]["lr"] = self.correction_lr * factor
            corrected = torch.cat(
                [logits[:, : self.n_old], logits[:, self.n_old :] * pair[0] + pair[1]], dim=1
            )
            loss = index_loss(strategy, corrected, indices)
            (pair.grad,) = torch.autograd.grad(loss, [pair])
            optimizer.step()
        network.corrections[self.n_old :] = pair.detach()
        self._validation = None


@torch.no_grad()
def _scores(strategy: IncrementalStrategy, dataset: Any) -> tuple[Tensor, Tensor]:
    """Return logits ``(N, C)`` and indices ``(N,)`` of a data set under ``eval`` transforms."""
    network = strategy.model
    logits, indices = [], []
    with evaluating(network):
        for x, y, *_ in batches(dataset.eval(), strategy.eval_mb_size):
            logits.append(network.outputs(x.to(strategy.device)).logits)
            indices.append(network.index_of(y.to(strategy.device)))
    return torch.cat(logits), torch.cat(indices)
