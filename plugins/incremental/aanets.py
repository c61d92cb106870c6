"""AANets (Liu, Schiele, Sun, "Adaptive Aggregation Networks for Class-Incremental Learning",
CVPR 2021)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from cl_strategies.plugins.incremental.dual_branch import DualBranch, cut, cut_points
from cl_strategies.plugins.incremental.lucir import LUCIRMethod
from cl_strategies.plugins.incremental.method import unit_loss
from cl_strategies.plugins.incremental.network import IncrementalNetwork
from cl_strategies.plugins.incremental.training import shuffled
from cl_strategies.plugins.modes import evaluating
from cl_strategies.ranges import not_negative

_MOST_BATCHES = 501


class AANetsMethod(LUCIRMethod):
    """LUCIR on a stable and a plastic branch, whose mixture is learned on balanced data.

    :param mixture_lr: learning rate of the mixture, plain gradient descent.
    :param options: of :class:`LUCIRMethod`.
    """

    def __init__(self, *, mixture_lr: float = 0.01, **options: Any) -> None:
        not_negative(mixture_lr=mixture_lr)
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
        phases: Sequence[Sequence[int]],
        structure: Mapping[str, Any],
    ) -> None:
        if structure["levels"]:
            network.backbone = cut(network.backbone, structure["levels"])  # type: ignore[arg-type]
        if len(phases) > 1:
            network.backbone.branch()  # type: ignore[operator]
        super().rebuild(network, phases, structure)

    def begin(self, strategy: Any, classes: Sequence[int]) -> None:
        network: IncrementalNetwork = strategy.model
        if not network.order:
            dataset = strategy.experience.dataset.eval()
            x = torch.stack([dataset[row][0] for row in range(min(2, len(dataset)))])
            lengths = cut_points(network.backbone, x.to(strategy.device))
            network.backbone = cut(network.backbone, lengths)  # type: ignore[arg-type]
        super().begin(strategy, classes)
        if self.old is not None and network.backbone.plastic is None:
            network.backbone.branch()  # type: ignore[operator]

    def after_epoch(self, strategy: Any) -> None:
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
                loss = unit_loss(strategy, network.outputs(x).scores, network.unit_of(y))
                (slope,) = torch.autograd.grad(loss, [mixture])
                mixture.requires_grad_(False).sub_(self.mixture_lr * slope)


def _balanced(dataset: Any, old: set[int]) -> Any:
    """All samples of old classes, and of new ones as many per class, at random."""
    rows: dict[int, list[int]] = defaultdict(list)
    for row in torch.randperm(len(dataset)).tolist():
        rows[int(dataset.targets[row])].append(row)
    sizes = [len(members) for label, members in rows.items() if label in old]
    each = max(1, round(sum(sizes) / len(sizes))) if sizes else 1
    return dataset.subset(sorted(row for members in rows.values() for row in members[:each]))
