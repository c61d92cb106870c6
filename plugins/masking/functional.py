"""Activation maps, boxes, two-resolution images and the losses of CIM, without state.

Paper: Luo, Liu, Schiele, Sun, "Class-Incremental Exemplar Compression for Class-Incremental
Learning", CVPR 2023. A *box* is ``(h0, h1, w0, w1)`` in pixels of the image, half-open: rows
``h0 <= h < h1`` and columns ``w0 <= w < w1``. ``(0, 0, 0, 0)`` is the empty box.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from cl_strategies.errors import UserError
from cl_strategies.plugins.exemplars.codecs.boxes import check_box
from cl_strategies.plugins.exemplars.codecs.nearest import (
    box_means,
    check_eta,
    floor_index,
    low_size,
    nearest_index,
)
from cl_strategies.plugins.masking.pade_function import pade_activation

__all__ = [
    "bounding_boxes",
    "class_activation_map",
    "downsample_background",
    "mask_penalty",
    "memory_cost",
    "pade_activation",
    "soft_compress",
]

#: Pixels of upsampled maps that are held at a time.
_CHUNK = 2**24


def class_activation_map(features: Tensor, class_weights: Tensor, labels: Tensor) -> Tensor:
    """Return the activation of each image's own class, scaled to ``[0, 1]`` per image (Eq. 1).

    ``A = w_y . F``, then ``(A - min A) / (max A - min A)``. Differentiable, through minimum and
    maximum as well.

    :param features: Last feature maps ``(N, K, h, w)``.
    :param class_weights: Weights of the linear classifier ``(C, K)``; its bias plays no part.
    :param labels: Class of each image, ``(N,)`` integers below ``C``.
    :returns: ``(N, h, w)``; zeros where a map is constant.
    :raises UserError: if shapes do not fit.
    """
    if features.ndim != 4 or class_weights.ndim != 2 or features.shape[1] != class_weights.shape[1]:
        raise UserError(
            f"features of shape {tuple(features.shape)} and class weights of shape "
            f"{tuple(class_weights.shape)} do not fit: give (N, K, h, w) and (C, K)"
        )
    if labels.shape != features.shape[:1]:
        raise UserError(f"{len(features)} images but labels of shape {tuple(labels.shape)}")
    activation = torch.einsum("nk,nkhw->nhw", class_weights[labels], features)
    lowest = activation.amin((1, 2), keepdim=True)
    extent = activation.amax((1, 2), keepdim=True) - lowest
    flat = extent == 0
    return torch.where(flat, 0.0, (activation - lowest) / torch.where(flat, 1.0, extent))


@torch.no_grad()
def bounding_boxes(
    cam: Tensor, sizes: Sequence[Sequence[int]] | Tensor, *, threshold: float = 0.6
) -> Tensor:
    """Return the smallest box around everything active (Eq. 2), in pixels of each original image.

    Each map is interpolated bilinearly (half-pixel centers) to its image's size and compared with
    ``threshold``; what is strictly above is active.

    :param cam: Maps ``(N, h, w)`` with values in ``[0, 1]``; NaN counts as inactive.
    :param sizes: ``(height, width)`` of each image, ``(N, 2)``, or one pair for all.
    :param threshold: tau, in ``[0, 1)``.
    :returns: int64 ``(N, 4)``, half-open; the empty box where nothing is active.
    :raises UserError: if shapes do not fit, or the threshold is out of range.
    """
    if not 0 <= threshold < 1:
        raise UserError(f"threshold is {threshold}: give a number from 0 to below 1")
    table = torch.as_tensor(sizes, dtype=torch.int64).cpu()
    table = table.expand(len(cam), 2) if table.ndim == 1 and len(table) == 2 else table
    if cam.ndim != 3 or table.shape != (len(cam), 2) or (table < 1).any():
        raise UserError(
            f"maps of shape {tuple(cam.shape)} and sizes of shape {tuple(table.shape)} do not fit: "
            "give (N, h, w) and a positive (height, width) for each"
        )
    boxes = torch.zeros(len(cam), 4, dtype=torch.int64)
    if not len(cam):
        return boxes
    for size in table.unique(dim=0):
        height, width = size.tolist()
        rows = (table == size).all(1).nonzero().flatten()
        for part in rows.split(max(1, _CHUNK // (height * width))):
            maps = cam[part.to(cam.device)][:, None]
            up = F.interpolate(maps, (height, width), mode="bilinear", align_corners=False)
            active = up[:, 0] > threshold
            vertical, horizontal = _extent(active.any(2)), _extent(active.any(1))
            boxes[part] = torch.cat([vertical, horizontal], dim=1).cpu()
    return boxes


def _extent(active: Tensor) -> Tensor:
    """First active index and one past the last, ``(N, 2)``; zeros if there is none."""
    length = active.shape[1]
    first = active.int().argmax(1)
    last = length - active.flip(1).int().argmax(1)
    return torch.stack([first, last], dim=1) * active.any(1, keepdim=True)


def downsample_background(
    image: Tensor, box: Sequence[int] | Tensor, *, eta: float = 4.0
) -> Tensor:
    """Return the image with everything outside the box at low resolution (Eq. 3).

    Outside the box, the image is reduced by :func:`low_size` and brought back to its size, both
    with the nearest neighbor as Pillow finds it; inside it keeps its pixels.

    :param image: uint8 ``(H, W, C)``.
    :param box: ``(h0, h1, w0, w1)``, half-open; may be empty.
    :param eta: Ratio of areas between image and background, at least 1.
    :returns: uint8 ``(H, W, C)``, a new tensor.
    :raises UserError: for another shape or type, a box outside the image, ``eta`` below 1.
    """
    image = torch.as_tensor(image)
    if image.ndim != 3 or image.dtype != torch.uint8:
        raise UserError(
            f"the image has shape {tuple(image.shape)} and type {image.dtype}: "
            "give uint8 of shape (H, W, C)"
        )
    height, width = image.shape[:2]
    h0, h1, w0, w1 = check_box(box, height, width)
    rows, columns = (_round_trip(*pair) for pair in _pairs(height, width, eta))
    result = image[torch.from_numpy(rows)][:, torch.from_numpy(columns)]
    result[h0:h1, w0:w1] = image[h0:h1, w0:w1]
    return result


def _pairs(height: int, width: int, eta: float) -> tuple[tuple[int, int], tuple[int, int]]:
    low = low_size(height, width, eta)
    return (height, low[0]), (width, low[1])


def _round_trip(size: int, low: int) -> np.ndarray:
    """Return which source pixel each pixel shows after going down to ``low`` and back."""
    return nearest_index(size, low)[nearest_index(low, size)]


def memory_cost(
    box: Sequence[int] | Tensor, size: Sequence[int] | Tensor, *, eta: float = 4.0
) -> float:
    """Return the memory of a two-resolution image, where one uncompressed image is 1 (Eq. 4).

    ``r + (1 - r) / eta`` with ``r`` the share of the image that the box covers.

    :param box: ``(h0, h1, w0, w1)``, half-open.
    :param size: ``(height, width)`` of the image.
    :param eta: Ratio of areas, at least 1.
    :raises UserError: for a box outside the image, or ``eta`` below 1.

    >>> memory_cost((0, 5, 0, 5), (10, 10))
    0.4375
    """
    check_eta(eta)
    height, width = (int(value) for value in size)
    h0, h1, w0, w1 = check_box(box, height, width)
    share = (h1 - h0) * (w1 - w0) / (height * width)
    return share + (1 - share) / eta


def soft_compress(
    x: Tensor, mask: Tensor, *, eta: float = 4.0, filter: str = "nearest", nearest: str = "pillow"
) -> Tensor:
    """Blend images with their low-resolution version by a continuous mask (Eq. S1c).

    ``mask * x + (1 - mask) * x_eta``: the differentiable counterpart of
    :func:`downsample_background`.

    :param x: Network inputs ``(N, C, H, W)``.
    :param mask: Maps ``(N, h, w)``, interpolated bilinearly to ``(H, W)`` if of another size.
    :param eta: Ratio of areas, at least 1.
    :param filter: ``"nearest"`` as in the paper, or ``"box"``: each low-resolution pixel is the
        mean of its cell.
    :param nearest: ``"pillow"``, as exemplars are stored, or ``"floor"``, as the authors' code
        does in this place (see :mod:`~cl_strategies.plugins.exemplars.codecs.nearest`).
    :returns: ``(N, C, H, W)``.
    """
    height, width = x.shape[-2:]
    if mask.shape[-2:] != (height, width):
        mask = F.interpolate(mask[:, None], (height, width), mode="bilinear")[:, 0]
    index = {"pillow": nearest_index, "floor": floor_index}[nearest]
    pairs = _pairs(height, width, eta)
    rows, columns = (torch.tensor(index(low, size)).to(x.device) for size, low in pairs)
    if filter == "box":
        vertical, horizontal = (torch.tensor(box_means(*pair)).to(x) for pair in pairs)
        low = vertical @ x @ horizontal.T
    else:
        kept = (torch.tensor(index(size, low)).to(x.device) for size, low in pairs)
        low = x[..., next(kept), :][..., next(kept)]
    low = low[..., rows, :][..., columns]
    return low + mask[:, None] * (x - low)


def mask_penalty(cam: Tensor) -> Tensor:
    """Return R(phi) of Eq. 6: mean squared activation, which keeps masks, and so exemplars, small.

    :param cam: Maps ``(N, h, w)`` of :func:`class_activation_map`.
    :returns: a scalar.
    """
    return cam.square().mean()
