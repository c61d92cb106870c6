"""PODNet (Douillard, Cord, Ollion, Robert, Valle, "PODNet: Pooled Outputs Distillation for
Small-Tasks Incremental Learning", ECCV 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import torch
from annotated_types import Ge
from torch import Tensor, nn
from torch.nn.functional import normalize
from typing_extensions import Doc

from cl_strategies.plugins.features.extraction import extract_features
from cl_strategies.plugins.features.stages import recording, stage_names
from cl_strategies.plugins.incremental.balanced import BalancedMethod
from cl_strategies.plugins.incremental.classifiers import ProxyClassifier
from cl_strategies.plugins.incremental.functional import feature_distillation, nca, pod_spatial
from cl_strategies.plugins.incremental.network import IncrementalNetwork, Outputs
from cl_strategies.plugins.incremental.options import (
    BalanceEpochs,
    BalanceLR,
)
from cl_strategies.plugins.incremental.strategy import IncrementalStrategy
from cl_strategies.validation.hyperparameters import hyperparameters


class PODNetwork(IncrementalNetwork):
    """Also gives the feature maps of its stages."""

    stages: tuple[str, ...] = ()

    def outputs(self, x: Tensor) -> Outputs:
        with recording([self.backbone.get_submodule(name) for name in self.stages]) as maps:
            outputs = super().outputs(x)
        outputs.maps = maps
        return outputs


@hyperparameters
class PODNetMethod(BalancedMethod[PODNetwork]):
    """Distillation of pooled feature maps and features, classes of several proxies.

    :raises UserError: for an option out of its range.
    """

    def __init__(
        self,
        *,
        spatial: Annotated[
            float,
            Ge(0),
            Doc(
                "Weight of POD-spatial, which grows with the ratio of all to new classes; 3 for "
                "CIFAR-100, 8 for ImageNet."
            ),
        ] = 3.0,
        flat: Annotated[
            float,
            Ge(0),
            Doc("Weight of POD-flat, likewise; 1 for CIFAR-100, 10 for ImageNet."),
        ] = 1.0,
        proxies: Annotated[int, Ge(1), Doc("Proxies of each class.")] = 10,
        margin: Annotated[float, Doc("Margin of the NCA loss, a difference of cosines.")] = 0.6,
        released: Annotated[
            bool, Doc("Compute the NCA loss as the public code does, not as the paper.")
        ] = False,
        balance_epochs: BalanceEpochs = 20,
        balance_lr: BalanceLR = 0.05,
        **options: Any,
    ) -> None:
        super().__init__(balance_epochs=balance_epochs, balance_lr=balance_lr, **options)
        self.spatial = spatial
        self.flat = flat
        self.proxies = proxies
        self.margin = margin
        self.released = released

    def network(self, backbone: nn.Module, n_features: int) -> PODNetwork:
        return PODNetwork(backbone, ProxyClassifier(n_features, proxies=self.proxies))

    def begin(self, strategy: IncrementalStrategy, classes: Sequence[int]) -> None:
        network: PODNetwork = strategy.model
        dataset = strategy.experience.dataset.eval()
        x = torch.stack([dataset[row][0] for row in range(min(2, len(dataset)))])
        network.stages = tuple(stage_names(network.backbone, x.to(strategy.device)))
        super().begin(strategy, classes)
        if self.old is not None:
            imprint_clusters(strategy)

    def loss(
        self, strategy: IncrementalStrategy, outputs: Outputs, x: Tensor, indices: Tensor
    ) -> Tensor:
        loss = self.classification(strategy, outputs.logits, indices)
        if self.old is None:
            return loss
        before = self.old.outputs(x)
        n_classes = outputs.logits.shape[1]
        growth = (n_classes / (n_classes - self.n_old)) ** 0.5
        kept = self.flat * feature_distillation(outputs.features, before.features)
        if outputs.maps:
            kept = kept + self.spatial * pod_spatial(outputs.maps, before.maps)
        return loss + growth * kept

    def classification(
        self, strategy: IncrementalStrategy, logits: Tensor, indices: Tensor
    ) -> Tensor:
        return nca(logits, indices, margin=self.margin, released=self.released)


@torch.no_grad()
def imprint_clusters(strategy: IncrementalStrategy) -> None:
    """Set the proxies of each new class to the centers of clusters of its features.

    They get the mean norm of the old proxies.
    """
    network, dataset = strategy.model, strategy.experience.dataset
    classifier = network.classifier
    features = normalize(extract_features(strategy, dataset), dim=1)
    labels = torch.tensor([int(label) for label in dataset.targets])
    norm = classifier.old.norm(dim=1).mean()
    first = len(classifier.old) // classifier.rows
    for position, label in enumerate(network.order[first:]):
        centers = cluster_centers(features[labels == label], classifier.rows)
        rows = slice(position * classifier.rows, (position + 1) * classifier.rows)
        classifier.new[rows] = normalize(centers, dim=1).to(classifier.new) * norm


def cluster_centers(points: Tensor, k: int, *, rounds: int = 20) -> Tensor:
    """Centers of ``k`` clusters by Lloyd's algorithm from random points.

    :param points: ``(N, d)``; with fewer than ``k``, some centers are the same.
    :returns: ``(k, d)``.
    """
    order = torch.randperm(len(points))
    centers = points[order.repeat(-(-k // len(points)))[:k]]
    for _ in range(rounds):
        nearest = torch.cdist(points, centers).argmin(1)
        sums = torch.zeros_like(centers).index_add(0, nearest, points)
        sizes = torch.bincount(nearest, minlength=k)[:, None]
        centers = torch.where(sizes > 0, sums / sizes.clamp_min(1), centers)
    return centers
