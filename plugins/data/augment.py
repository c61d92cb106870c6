"""Augmentations of whole batches, with the distribution of torchvision's per-sample transforms.

Images are tensors (N, C, H, W), uint8 in 0..255 or float in 0..1. Every image of a batch draws its
own parameters, on the CPU generator, so the same seed gives the same images on every device.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

Range = tuple[float, float]


def random_crop(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut a window of ``size`` (height, width) out of each image at a uniformly random place.

    :param images: (N, C, H, W), at least as large as ``size`` (pad before).
    """
    n, channels, height, width = images.shape
    if (height, width) == tuple(size):
        return images
    top = torch.randint(0, height - size[0] + 1, (n,)).to(images.device)
    left = torch.randint(0, width - size[1] + 1, (n,)).to(images.device)
    rows = top[:, None] + torch.arange(size[0], device=images.device)
    columns = left[:, None] + torch.arange(size[1], device=images.device)
    flat = (rows[:, :, None] * width + columns[:, None, :]).view(n, 1, -1)
    windows = images.flatten(2).gather(2, flat.expand(-1, channels, -1))
    return windows.view(n, channels, *size)


def random_flip(images: Tensor, *, p: float, dim: int) -> Tensor:
    """Mirror each image along ``dim`` (-1 horizontally, -2 vertically) with probability ``p``."""
    chosen = (torch.rand(len(images)) < p).to(images.device)
    return torch.where(chosen.view(-1, 1, 1, 1), images.flip(dim), images)


def normalize(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Subtract ``mean`` and divide by ``std``, one number per channel."""
    shape = (-1, 1, 1)
    center = torch.as_tensor(mean, dtype=images.dtype, device=images.device).view(shape)
    scale = torch.as_tensor(std, dtype=images.dtype, device=images.device).view(shape)
    return images.sub(center).div_(scale)


def color_jitter(
    images: Tensor,
    *,
    brightness: Range | None,
    contrast: Range | None,
    saturation: Range | None,
    hue: Range | None,
) -> Tensor:
    """Change brightness, contrast, saturation and hue of each image in its own random order.

    Each factor is uniform in its range; ``None`` leaves that property alone. On uint8 images the
    result can differ from Pillow's by one gray level, by rounding.

    :param images: (N, C, H, W) with 1 or 3 channels; saturation and hue leave gray images alone.
    """
    n = len(images)
    order = torch.rand(n, 4).argsort(dim=1)
    factors = [
        torch.empty(n).uniform_(*limits) if limits is not None else None
        for limits in (brightness, contrast, saturation, hue)
    ]
    result = images.clone()
    for step in range(4):
        for kind, factor in enumerate(factors):
            chosen = (order[:, step] == kind).nonzero().flatten()
            if factor is not None and len(chosen):
                where = chosen.to(images.device)
                amount = factor[chosen].to(images.device).view(-1, 1, 1, 1)
                result[where] = _ADJUST[kind](result[where], amount)
    return result


def _blend(images: Tensor, other: Tensor | float, amount: Tensor) -> Tensor:
    bound = 1.0 if images.is_floating_point() else 255.0
    mixed = amount * images + (1.0 - amount) * other
    return mixed.clamp(0, bound).to(images.dtype)


def _gray(images: Tensor) -> Tensor:
    if images.shape[1] == 1:
        return images
    red, green, blue = images.unbind(1)
    gray = 0.2989 * red + 0.587 * green + 0.114 * blue
    return gray.to(images.dtype).unsqueeze(1)


def _brightness(images: Tensor, amount: Tensor) -> Tensor:
    return _blend(images, 0.0, amount)


def _contrast(images: Tensor, amount: Tensor) -> Tensor:
    gray = _gray(images)
    gray = gray if gray.is_floating_point() else gray.float()
    return _blend(images, gray.mean(dim=(1, 2, 3), keepdim=True), amount)


def _saturation(images: Tensor, amount: Tensor) -> Tensor:
    return images if images.shape[1] == 1 else _blend(images, _gray(images), amount)


def _hue(images: Tensor, amount: Tensor) -> Tensor:
    if images.shape[1] == 1:
        return images
    scaled = images if images.is_floating_point() else images.float() / 255
    largest, smallest = scaled.amax(1, keepdim=True), scaled.amin(1, keepdim=True)
    chroma = largest - smallest
    safe = torch.where(chroma == 0, torch.ones_like(chroma), chroma)
    red, green, blue = scaled.split(1, dim=1)
    sextant = torch.where(
        largest == red,
        (green - blue) / safe,
        torch.where(largest == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    angle = (sextant / 6 + amount) % 1.0 * 6
    corner = (torch.tensor([5.0, 3.0, 1.0], device=images.device).view(1, 3, 1, 1) + angle) % 6
    # HSV to RGB in closed form: a channel is the value less chroma times a trapezium of the hue.
    turned = largest - chroma * torch.minimum(corner, 4 - corner).clamp(0, 1)
    if images.is_floating_point():
        return turned.to(images.dtype)
    return (turned * 255).round().clamp(0, 255).to(images.dtype)


_ADJUST = (_brightness, _contrast, _saturation, _hue)
