"""Two branches of one backbone, mixed after each level (AANets)."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from cl_strategies.errors import UserError
from cl_strategies.plugins.features.modes import evaluating


class ChannelScale(nn.Module):
    """A weight times one number for each pair of channels.

    :param weight: of a convolution ``(o, i, kh, kw)`` or a linear layer ``(o, i)``; a linear layer
        gets one number per output.
    """

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        shape = (*weight.shape[:2], 1, 1) if weight.ndim == 4 else (len(weight), 1)
        self.scale = nn.Parameter(weight.new_ones(shape))

    def forward(self, weight: Tensor) -> Tensor:
        return weight * self.scale


class DualBranch(nn.Module):
    """A backbone cut into levels, and from the second experience on twice there.

    In the stable branch the weights of convolutions and linear layers are frozen and only their
    scales are learned; in the plastic branch everything is. After each level both are mixed.

    :param levels: parts of the backbone, first to last.
    :ivar mixture: share of the stable branch after each level, ``(levels,)``; trained apart.
    """

    def __init__(self, levels: Sequence[nn.Module]) -> None:
        super().__init__()
        self.stable = nn.ModuleList(levels)
        self.plastic: nn.ModuleList | None = None
        self.mixture = nn.Parameter(torch.full((len(levels),), 0.5), requires_grad=False)

    def branch(self) -> None:
        """Split into two branches; done once, after the first experience.

        A layer that is frozen already gets no scales: it stays what it is in both branches.
        """
        plastic = copy.deepcopy(self.stable)
        for module in list(self.stable.modules()):
            if isinstance(module, nn.Conv2d | nn.Linear) and module.weight.requires_grad:
                module.weight.requires_grad_(False)
                scale = ChannelScale(module.weight.detach())
                parametrize.register_parametrization(module, "weight", scale)
        self.plastic = plastic

    def forward(self, x: Tensor) -> Tensor:
        """:param x: images ``(N, C, H, W)``. :returns: features ``(N, d)``."""
        if self.plastic is None:
            for level in self.stable:
                x = level(x)
            return x
        for share, stable, plastic in zip(self.mixture, self.stable, self.plastic, strict=True):
            x = share * stable(x) + (1 - share) * plastic(x)
        return x


def cut_points(backbone: nn.Module, x: Tensor) -> list[int]:
    """Return how many of a sequence's parts belong to each level.

    A level ends where the resolution of the feature maps changes; what follows the last feature
    maps belongs to the last level unless it has weights.

    :param backbone: an ``nn.Sequential``.
    :param x: some images.
    :raises UserError: for another kind of network.
    """
    if not isinstance(backbone, nn.Sequential):
        raise UserError(
            f"the backbone is a {type(backbone).__name__}, which cannot be cut into levels: give "
            "an nn.Sequential, as small-resnet, cnn and mlp have"
        )
    sizes: list[tuple[int, ...]] = []
    with torch.no_grad(), evaluating(backbone):
        for part in backbone:
            x = part(x)
            sizes.append(tuple(x.shape[2:]) if x.ndim == 4 and x[0, 0].numel() > 1 else ())
    ends = [i + 1 for i, size in enumerate(sizes[:-1]) if size and size != sizes[i + 1]]
    tail = list(backbone)[ends[-1] :] if ends else []
    if ends and not any(True for part in tail for _ in part.parameters()):
        ends.pop()  # pooling and the like
    ends.append(len(sizes))
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]


def cut(backbone: nn.Sequential, lengths: Sequence[int]) -> DualBranch:
    """Return the backbone as a :class:`DualBranch` of levels of these lengths."""
    parts, levels, start = list(backbone), [], 0
    for length in lengths:
        levels.append(nn.Sequential(*parts[start : start + length]))
        start += length
    return DualBranch(levels)
