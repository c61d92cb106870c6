"""Channel-wise lightweight reprogramming (Ge et al., ICCV 2023): a filter per channel."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from cl_strategies.errors import UserError


def identity_kernels(channels: int, size: int = 3) -> Tensor:
    """Return kernels with which :func:`reprogram` gives back what it is given.

    :param channels: ``J``, one kernel for each.
    :param size: height and width, odd.
    :returns: ``(J, 1, size, size)``, 1 in the middle and 0 elsewhere.
    :raises UserError: for a size that is not odd, or fewer than one channel.

    >>> identity_kernels(1)[0, 0].tolist()
    [[0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]
    """
    if size < 1 or size % 2 == 0:
        raise UserError(f"the size of a kernel is {size}: give an odd one, which has a middle")
    if channels < 1:
        raise UserError(f"there are {channels} channels: give at least one")
    kernels = torch.zeros(channels, 1, size, size)
    kernels[:, 0, size // 2, size // 2] = 1.0
    return kernels


def reprogram(features: Tensor, kernels: Tensor) -> Tensor:
    """Filter each channel of feature maps by its own kernel: the layer that a task adds.

    A convolution of stride 1 without bias, padded with zeros so that the maps keep their size.

    :param features: ``(N, J, h, w)``, what a frozen convolution puts out.
    :param kernels: ``(J, 1, k, k)``, k odd.
    :returns: ``(N, J, h, w)``.
    :raises UserError: for kernels of another number of channels or an even size.
    """
    channels, size = features.shape[1], kernels.shape[-1]
    if kernels.shape != (channels, 1, size, size) or size % 2 == 0:
        raise UserError(
            f"the kernels have the shape {tuple(kernels.shape)}, and the features {channels} "
            f"channels: give kernels ({channels}, 1, k, k) with an odd k"
        )
    return F.conv2d(features, kernels, padding=size // 2, groups=channels)
