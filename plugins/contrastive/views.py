"""Augmentations that make two views of a mini-batch, whatever the range of its values.

Mini-batches are tensors, perhaps normalized. What needs to know black and white takes the least
and the largest value of each channel in the mini-batch for them.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor
from torch.nn import functional as F
from typing_extensions import Doc

from cl_strategies.plugins.data.augment import color_jitter, random_crop, random_flip

Augmentation = Annotated[
    Literal["auto", "none", "noise", "shift", "color"],
    Doc(
        'How a view differs from its sample: ``"noise"`` adds Gaussian noise of a tenth of the '
        'deviation of the values; ``"shift"`` also moves the image by up to an eighth of its '
        'side; ``"color"`` moves and flips it and changes its colors; ``"auto"`` is ``"color"`` '
        'for images of three channels and ``"noise"`` for all else; ``"none"`` leaves both views '
        "as the sample is."
    ),
]

_JITTER = (0.6, 1.4)


def view(samples: Tensor, augmentation: str) -> Tensor:
    """Draw a view of each sample.

    :param samples: ``(N, ...)``, images ``(N, C, H, W)`` for all but noise.
    :param augmentation: one of :data:`Augmentation`; what is not an image is not moved.
    :returns: of the same shape.
    """
    image = samples.ndim == 4
    kind = augmentation
    if kind == "auto":
        kind = "color" if image and samples.shape[1] == 3 else "noise"
    if kind == "none":
        return samples
    if kind == "color" and image:
        return _recolored(random_flip(_moved(samples), p=0.5, dim=-1))
    return _noisy(_moved(samples) if kind == "shift" and image else samples)


def _noisy(samples: Tensor) -> Tensor:
    noise = torch.randn(samples.shape, dtype=samples.dtype).to(samples.device)
    return samples + 0.1 * samples.std(correction=0) * noise


def _moved(images: Tensor) -> Tensor:
    """Move each image by up to an eighth of its side; what comes in is as dark as anything."""
    height, width = images.shape[-2:]
    by = max(height // 8, 1), max(width // 8, 1)
    darkest = images.amin((0, 2, 3), keepdim=True)
    padded = F.pad(images - darkest, (by[1], by[1], by[0], by[0]))
    return random_crop(padded, (height, width)) + darkest


def _recolored(images: Tensor) -> Tensor:
    """Change brightness, contrast and saturation of most images, and make some of them gray."""
    darkest = images.amin((0, 2, 3), keepdim=True)
    span = images.amax((0, 2, 3), keepdim=True) - darkest
    span = torch.where(span > 0, span, 1.0)
    plain = (images - darkest) / span
    jittered = color_jitter(
        plain, brightness=_JITTER, contrast=_JITTER, saturation=_JITTER, hue=None
    )
    colored = torch.where(_chosen(images, 0.8), jittered, plain)
    gray = color_jitter(colored, brightness=None, contrast=None, saturation=(0.0, 0.0), hue=None)
    return torch.where(_chosen(images, 0.2), gray, colored) * span + darkest


def _chosen(images: Tensor, p: float) -> Tensor:
    return (torch.rand(len(images)) < p).to(images.device).view(-1, 1, 1, 1)
