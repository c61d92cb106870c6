"""AANets (Liu, Schiele, Sun, "Adaptive Aggregation Networks for Class-Incremental Learning",
CVPR 2021)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import torch
from annotated_types import Ge
from torch import nn
from typing_extensions import Doc

from cl_strategies.plugins.features.modes import evaluating
from cl_strategies.plugins.incremental.dual_branch import DualBranch, cut, cut_points
from cl_strategies.plugins.incremental.method import index_loss
from cl_strategies.plugins.incremental.methods.lucir import LUCIRMethod
from cl_strategies.plugins.incremental.network import IncrementalNetwork
from cl_strategies.plugins.incremental.strategy import IncrementalStrategy
from cl_strategies.plugins.incremental.training import shuffled
from cl_strategies.validation.hyperparameters import hyperparameters

_MOST_BATCHES = 501


@hyperparameters
class AANetsMethod(LUCIRMethod):
    """LUCIR on a stable and a plastic branch, whose mixture is learned on balanced data.

    :raises UserError: for an option out of its range.
    """

    def __init__(
        self,
        *,
        mixture_lr: Annotated[
            float,
            Ge(0),
            Doc(
                "Learning rate of the mixture, by plain gradient descent. Below about 1e-6 its "
                "steps are lost in float32."
            ),
        ] = 0.01,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.mixture_lr = mixture_lr

    def structure(self, network: IncrementalNetwork) -> dict[str, Any]:
        backbone = network.backbone
        if not isinstance(backbone, DualBranch):
            return {"levels": []}
        return {"levels": [len(level) for level in backbone.stable]}  # type: ignore[arg-type]

    def rebuild(
        self,
        network: IncrementalNetwork,
        experiences: Sequence[Sequence[int]],
        structure: Mapping[str, Any],
    ) -> None:
        if structure["levels"]:
            network.backbone = cut(network.backbone, structure["levels"])  # type: ignore[arg-type]
        if len(experiences) > 1:
            network.backbone.branch()  # type: ignore[operator]
        super().rebuild(network, experiences, structure)

    def begin(self, strategy: IncrementalStrategy, classes: Sequence[int]) -> None:
        network: IncrementalNetwork = strategy.model
        if not network.order:
            dataset = strategy.experience.dataset.eval()
            x = torch.stack([dataset[row][0] for row in range(min(2, len(dataset)))])
            lengths = cut_points(network.backbone, x.to(strategy.device))
            network.backbone = cut(network.backbone, lengths)  # type: ignore[arg-type]
        super().begin(strategy, classes)
        if self.old is not None and network.backbone.plastic is None:
            network.backbone.branch()  # type: ignore[operator]

    def after_epoch(self, strategy: IncrementalStrategy) -> None:
        """Steps of the mixture on as many new samples per class as there are exemplars."""
        if self.old is None:
            return
        network: IncrementalNetwork = strategy.model
        mixture: nn.Parameter = network.backbone.mixture  # type: ignore[assignment]
        dataset = _balanced(strategy.adapted_dataset, set(network.order[: self.n_old]))
        with evaluating(network):
            for count, (x, y) in enumerate(shuffled(strategy, dataset)):
                if count == _MOST_BATCHES:
                    break
                mixture.requires_grad_(True)
                loss = index_loss(strategy, network.outputs(x).logits, network.index_of(y))
                (slope,) = torch.autograd.grad(loss, [mixture])
                mixture.requires_grad_(False).sub_(self.mixture_lr * slope)


def _balanced(dataset: Any, old: set[int]) -> Any:
    """Return all samples of old classes, and of new ones as many per class, at random."""
    rows: dict[int, list[int]] = defaultdict(list)
    for row in torch.randperm(len(dataset)).tolist():
        rows[int(dataset.targets[row])].append(row)
    sizes = [len(members) for label, members in rows.items() if label in old]
    each = max(1, round(sum(sizes) / len(sizes))) if sizes else 1
    return dataset.subset(sorted(row for members in rows.values() for row in members[:each]))
