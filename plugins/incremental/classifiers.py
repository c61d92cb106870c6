"""Classifiers that gain classes, with the rows of old classes apart from those of new ones."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl_strategies.models.heads import linear_bound
from cl_strategies.plugins.incremental.functional import local_similarity


class Classifier(nn.Module):
    """A linear layer whose rows belong to classes in the order in which they came.

    :param n_features: size of the features.
    :param rows: rows of each class.
    :param bias: whether each row has a bias.
    :param freeze_old: whether the rows of old classes are left alone by training.
    :ivar old: rows of the classes before the last :meth:`grow`, ``(rows * n_old, n_features)``.
    :ivar new: rows of the latest classes, ``(rows * n_new, n_features)``.
    """

    old: nn.Parameter
    new: nn.Parameter

    def __init__(
        self, n_features: int, *, rows: int = 1, bias: bool = True, freeze_old: bool = False
    ) -> None:
        super().__init__()
        self.n_features = n_features
        self.rows = rows
        self.freeze_old = freeze_old
        self.old, self.new = (nn.Parameter(torch.empty(0, n_features)) for _ in range(2))
        names = ("old_bias", "new_bias")
        for name in names:
            self.register_parameter(name, nn.Parameter(torch.empty(0)) if bias else None)

    @property
    def n_classes(self) -> int:
        """How many classes it knows."""
        return (len(self.old) + len(self.new)) // self.rows

    @property
    def weight(self) -> Tensor:
        """``(rows * n_classes, n_features)``."""
        return torch.cat([self.old, self.new])

    @property
    def bias(self) -> Tensor | None:
        """``(rows * n_classes,)``."""
        if self.old_bias is None:
            return None
        return torch.cat([self.old_bias, self.new_bias])

    def bound(self) -> float:
        """New weights are drawn uniformly from minus this to this; see :func:`linear_bound`."""
        return linear_bound(self.n_features)

    def grow(self, n_classes: int) -> None:
        """Turn all classes into old ones and add some, with weights as :meth:`bound` says and
        biases of zero."""
        count, bound = n_classes * self.rows, self.bound()
        old, old_bias = self.weight.detach(), self.bias
        self.old = nn.Parameter(old, requires_grad=not self.freeze_old)
        self.new = nn.Parameter(old.new_empty(count, self.n_features).uniform_(-bound, bound))
        if old_bias is not None:
            self.old_bias = nn.Parameter(old_bias.detach(), requires_grad=not self.freeze_old)
            self.new_bias = nn.Parameter(old.new_zeros(count))

    @torch.no_grad()
    def restart(self) -> None:
        """Initialize all rows anew."""
        bound = self.bound()
        for rows, bias in ((self.old, self.old_bias), (self.new, self.new_bias)):
            rows.uniform_(-bound, bound)
            if bias is not None:
                bias.zero_()

    @torch.no_grad()
    def widen(self, n_features: int) -> None:
        """Take that many features more; their weights are initialized like new rows."""
        self.n_features += n_features
        bound = self.bound()
        for name in ("old", "new"):
            rows = getattr(self, name)
            more = rows.new_empty(len(rows), n_features).uniform_(-bound, bound)
            value = nn.Parameter(torch.cat([rows, more], dim=1), requires_grad=rows.requires_grad)
            setattr(self, name, value)

    def forward(self, features: Tensor) -> Tensor:
        """:param features: ``(N, n_features)``. :returns: logits ``(N, n_classes)``."""
        return F.linear(features, self.weight, self.bias)


class CosineClassifier(Classifier):
    """LUCIR's: a learned scale times the cosine between features and rows.

    Hou et al., "Learning a Unified Classifier Incrementally via Rebalancing", CVPR 2019, Eq. 4.
    """

    def __init__(self, n_features: int, *, freeze_old: bool = True) -> None:
        super().__init__(n_features, bias=False, freeze_old=freeze_old)
        self.scale = nn.Parameter(torch.ones(()))

    def bound(self) -> float:
        """Lengths do not count in a cosine: as LUCIR's and PODNet's public code."""
        return 1 / math.sqrt(self.n_features)

    def cosines(self, features: Tensor) -> Tensor:
        """Return ``(N, n_classes)``, before the scale."""
        directions = F.normalize(self.weight, dim=1)
        return F.normalize(features.to(directions), dim=1) @ directions.T

    def forward(self, features: Tensor) -> Tensor:
        return self.scale * self.cosines(features)


class ProxyClassifier(Classifier):
    """PODNet's: each class by several proxies, times a learned scale.

    Douillard et al., "PODNet: Pooled Outputs Distillation for Small-Tasks Incremental Learning",
    ECCV 2020, Eq. 9.

    :param proxies: of each class.
    """

    def __init__(self, n_features: int, *, proxies: int = 10, freeze_old: bool = True) -> None:
        super().__init__(n_features, rows=proxies, bias=False, freeze_old=freeze_old)
        self.scale = nn.Parameter(torch.ones(()))

    def bound(self) -> float:
        """As :meth:`CosineClassifier.bound`."""
        return 1 / math.sqrt(self.n_features)

    def forward(self, features: Tensor) -> Tensor:
        return self.scale * local_similarity(features.to(self.weight), self.weight, self.rows)
