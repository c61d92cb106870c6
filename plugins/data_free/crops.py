"""Crops of a batch of images, enlarged to its size."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate


def cropped(images: Tensor, smallest: float) -> Tensor:
    """Crop all images at one place, enlarge them to their size, and flip half of the batches.

    :param images: ``(N, C, h, w)``; inputs without space are returned as they are.
    :param smallest: least share of the image that is kept; the share is drawn from there to 1.
    :returns: the shape of ``images``.
    """
    if images.ndim != 4:
        return images
    share = (smallest + (1 - smallest) * float(torch.rand(()))) ** 0.5
    sides = [max(1, round(share * side)) for side in images.shape[2:]]
    top, left = (
        int(torch.randint(whole - part + 1, ()))
        for whole, part in zip(images.shape[2:], sides, strict=True)
    )
    part = images[:, :, top : top + sides[0], left : left + sides[1]]
    part = interpolate(part, size=images.shape[2:], mode="bilinear", align_corners=False)
    return part.flip(3) if torch.rand(()) < 0.5 else part
