"""Class-incremental training as a plain loop, after the description of the peer's runs.

It uses nothing of the package, so that trainings of the package can be compared with it. The head's
rows follow the order in which classes came.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, log_softmax, softmax


class Plain(nn.Module):
    """Backbones side by side below one linear head."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbones = nn.ModuleList([backbone])
        self.head: nn.Linear
        self.auxiliary: nn.Linear

    def features(self, x: Tensor) -> Tensor:
        return torch.cat([backbone(x) for backbone in self.backbones], dim=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))

    def expand(self) -> None:
        """DER: a copy of the newest backbone is trained, all older ones are frozen."""
        fresh = copy.deepcopy(self.backbones[-1])
        self.backbones.requires_grad_(False)
        self.backbones.append(fresh)


def linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], len(weight))
    layer.load_state_dict({"weight": weight, "bias": bias})
    return layer


def distillation(logits: Tensor, old: Tensor) -> Tensor:
    return -(softmax(old / 2, 1) * log_softmax(logits / 2, 1)).sum(1).mean()


def train_phase(
    method: str,
    network: Plain,
    n_old: int,
    batches: Iterable[tuple[Tensor, Tensor]],
    teacher: Plain | None,
    **options: float,
) -> list[float]:
    """The losses of one experience's steps, with a new SGD.

    :param batches: images and positions of their classes in the order of arrival.
    :param teacher: the network at the end of the experience before.
    :param options: of SGD.
    """
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], **options)
    network.train()
    for backbone in network.backbones[:-1]:
        backbone.eval()
    losses = []
    for x, y in batches:
        features = network.features(x)
        logits = network.head(features)
        loss = cross_entropy(logits, y)
        if teacher is not None and method in ("icarl", "wa"):
            with torch.no_grad():
                old = teacher.eval()(x)
            apart = distillation(logits[:, :n_old], old)
            share = n_old / logits.shape[1]
            loss = loss + apart if method == "icarl" else (1 - share) * loss + share * apart
        if n_old and method == "der":
            newest = features[:, -network.auxiliary.in_features :]
            loss = loss + cross_entropy(network.auxiliary(newest), (y - n_old + 1).clamp_min(0))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@torch.no_grad()
def align(head: nn.Linear, n_old: int) -> None:
    """WA: new rows, without biases, get the mean norm of the old ones."""
    norms = head.weight.norm(dim=1)
    head.weight[n_old:] *= norms[:n_old].mean() / norms[n_old:].mean()


@torch.no_grad()
def herded(network: Plain, images: Tensor, count: int) -> list[int]:
    """Which images of a class are kept, in their order."""
    vectors = network.eval().features(images)
    vectors = vectors / (vectors.norm(dim=1, keepdim=True) + 1e-8)
    mean, total, chosen = vectors.mean(0), torch.zeros(vectors.shape[1]), []
    for k in range(1, count + 1):
        distances = (mean - (vectors + total) / k).norm(dim=1)
        distances[chosen] = torch.inf
        chosen.append(int(distances.argmin()))
        total = total + vectors[chosen[-1]]
    return chosen
