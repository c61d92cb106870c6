"""Images as unsigned bytes, brought to one size, and what turns them into normalized color ones.

Bytes take a quarter of the memory, and Pillow resizes them in integer arithmetic, so that a
stream is the same on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from cl_strategies.benchmarks.core.samples import ImageSamples, TensorSamples
from cl_strategies.errors import UserError


def as_bytes(samples: Any, rows: np.ndarray | None = None) -> Tensor:
    """Return the images of a data set, uint8 of shape ``(N, C, H, W)``.

    :param samples: :class:`ImageSamples`, or :class:`TensorSamples` of bytes, or of pixels in
        ``[0, 1]``.
    :param rows: which; ``None``: all.
    :raises UserError: for anything else.
    """
    chosen = slice(None) if rows is None else rows
    if isinstance(samples, ImageSamples):
        images = samples.images[chosen].transpose(0, 3, 1, 2)
        return torch.from_numpy(np.ascontiguousarray(images))
    if isinstance(samples, TensorSamples) and samples.x.dtype == torch.uint8:
        return samples.x[chosen]
    if isinstance(samples, TensorSamples) and samples.transform is None:
        return (samples.x[chosen] * 255).round().to(torch.uint8)
    raise UserError(f"the images of a {type(samples).__name__} are not in memory")


def padded(images: Tensor, size: int) -> Tensor:
    """Pad ``images`` ``(N, C, H, W)`` with black borders that make them ``size`` high and wide."""
    height, width = size - images.shape[2], size - images.shape[3]
    borders = [width // 2, width - width // 2, height // 2, height - height // 2]
    return functional.pad(images, borders)


def resized(images: Tensor, size: int, how: Image.Resampling) -> Tensor:
    """Resize grey ``images``, uint8 ``(N, 1, H, W)``, to ``(N, 1, size, size)`` by Pillow."""
    small = images[:, 0].numpy()
    result = np.empty((len(small), 1, size, size), dtype=np.uint8)
    for row, image in enumerate(small):
        result[row, 0] = np.asarray(Image.fromarray(image).resize((size, size), how))
    return torch.from_numpy(result)


class Normalized:
    """Turn bytes ``(N, C, H, W)`` into float32 ``(N, 3, H, W)``; one channel becomes three.

    :param mean: per channel, of pixels in ``[0, 1]``.
    :param std: likewise.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        self.mean = torch.tensor(mean).view(1, -1, 1, 1)
        self.std = torch.tensor(std).view(1, -1, 1, 1)

    def __call__(self, images: Tensor) -> Tensor:
        x = (images.float() / 255 - self.mean) / self.std
        return x.expand(-1, 3, -1, -1)
