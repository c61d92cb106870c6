"""PODNet (Douillard, Cord, Ollion, Robert, Valle, "PODNet: Pooled Outputs Distillation for
Small-Tasks Incremental Learning", ECCV 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from cl_strategies.plugins.exemplars.features import extract_features
from cl_strategies.plugins.exemplars.losses import feature_distillation, nca, pod_spatial
from cl_strategies.plugins.incremental.classifiers import ProxyClassifier
from cl_strategies.plugins.incremental.lucir import balance_classifier
from cl_strategies.plugins.incremental.method import IncrementalMethod
from cl_strategies.plugins.incremental.network import IncrementalNetwork, Outputs
from cl_strategies.plugins.incremental.rates import check_schedule
from cl_strategies.plugins.incremental.stages import recording, stage_names
from cl_strategies.ranges import not_negative, positive


class PODNetwork(IncrementalNetwork):
    """Also gives the feature maps of its stages."""

    stages: tuple[str, ...] = ()

    def outputs(self, x: Tensor) -> Outputs:
        with recording([self.backbone.get_submodule(name) for name in self.stages]) as maps:
            outputs = super().outputs(x)
        outputs.maps = maps
        return outputs


class PODNetMethod(IncrementalMethod[PODNetwork]):
    """Distillation of pooled feature maps and features, classes of several proxies.

    :param spatial: weight of POD-spatial; grows with the ratio of all to new classes.
    :param flat: weight of POD-flat, likewise.
    :param proxies: of each class.
    :param margin: of the NCA loss.
    :param released: the NCA loss as the public code computes it.
    :param balance_epochs: epochs of training the classifier alone on the exemplars of all classes
        at the end of a phase.
    :param balance_lr: their first learning rate.
    :param balance_schedule: of it: ``"run"``, stretched over those epochs, or ``"constant"``.
    """

    def __init__(
        self,
        *,
        spatial: float = 3.0,
        flat: float = 1.0,
        proxies: int = 10,
        margin: float = 0.6,
        released: bool = False,
        balance_epochs: int = 20,
        balance_lr: float = 0.05,
        balance_schedule: str = "run",
    ) -> None:
        check_schedule(balance_schedule=balance_schedule)
        not_negative(spatial=spatial, flat=flat, balance_epochs=balance_epochs)
        positive(proxies=proxies, balance_lr=balance_lr)
        super().__init__()
        self.spatial = spatial
        self.flat = flat
        self.proxies = proxies
        self.margin = margin
        self.released = released
        self.balance_epochs = balance_epochs
        self.balance_lr = balance_lr
        self.balance_schedule = balance_schedule

    def network(self, backbone: nn.Module, n_features: int) -> PODNetwork:
        return PODNetwork(backbone, ProxyClassifier(n_features, proxies=self.proxies))

    def begin(self, strategy: Any, classes: Sequence[int]) -> None:
        network: PODNetwork = strategy.model
        dataset = strategy.experience.dataset.eval()
        x = torch.stack([dataset[row][0] for row in range(min(2, len(dataset)))])
        network.stages = tuple(stage_names(network.backbone, x.to(strategy.device)))
        super().begin(strategy, classes)
        if self.old is not None:
            imprint_clusters(strategy)

    def loss(self, strategy: Any, outputs: Outputs, x: Tensor, units: Tensor) -> Tensor:
        loss = self.classification(strategy, outputs.scores, units)
        if self.old is None:
            return loss
        before = self.old.outputs(x)
        n_classes = outputs.scores.shape[1]
        growth = (n_classes / (n_classes - self.n_old)) ** 0.5
        kept = self.flat * feature_distillation(outputs.features, before.features)
        if outputs.maps:
            kept = kept + self.spatial * pod_spatial(outputs.maps, before.maps)
        return loss + growth * kept

    def classification(self, strategy: Any, scores: Tensor, units: Tensor) -> Tensor:
        return nca(scores, units, margin=self.margin, released=self.released)

    def conclude(self, strategy: Any) -> None:
        if self.balance_epochs and self.old is not None:
            balance_classifier(
                strategy,
                epochs=self.balance_epochs,
                lr=self.balance_lr,
                schedule=self.balance_schedule,
            )
        super().conclude(strategy)


@torch.no_grad()
def imprint_clusters(strategy: Any) -> None:
    """Set the proxies of each new class to the centres of clusters of its features.

    They get the mean norm of the old proxies.
    """
    network, dataset = strategy.model, strategy.experience.dataset
    classifier = network.classifier
    features = normalize(extract_features(strategy, dataset), dim=1)
    labels = torch.tensor([int(label) for label in dataset.targets])
    norm = classifier.old.norm(dim=1).mean()
    first = len(classifier.old) // classifier.rows
    for position, label in enumerate(network.order[first:]):
        centres = cluster_centres(features[labels == label], classifier.rows)
        rows = slice(position * classifier.rows, (position + 1) * classifier.rows)
        classifier.new[rows] = normalize(centres, dim=1).to(classifier.new) * norm


def cluster_centres(points: Tensor, k: int, *, rounds: int = 20) -> Tensor:
    """Centres of ``k`` clusters by Lloyd's algorithm from random points.

    :param points: ``(N, d)``; with fewer than ``k``, some centres are the same.
    :returns: ``(k, d)``.
    """
    order = torch.randperm(len(points))
    centres = points[order.repeat(-(-k // len(points)))[:k]]
    for _ in range(rounds):
        nearest = torch.cdist(points, centres).argmin(1)
        sums = torch.zeros_like(centres).index_add(0, nearest, points)
        sizes = torch.bincount(nearest, minlength=k)[:, None]
        centres = torch.where(sizes > 0, sums / sizes.clamp_min(1), centres)
    return centres
