"""Between samples of a data set and the pixels that codecs work on.

Pixels are uint8 arrays of shape ``(H, W, C)`` with one channel (gray) or three (RGB).
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from cl_strategies.errors import UserError

Pixels = npt.NDArray[np.uint8]
#: What a data set gives: Pillow images, uint8 tensors (C, H, W), or tensors with values in [0, 1]:
#: of half precision, or else (``float``) of PyTorch's default type.
Kind = Literal["pillow", "uint8", "float", "bfloat16", "float16"]
_HALF: dict[torch.dtype, Kind] = {torch.bfloat16: "bfloat16", torch.float16: "float16"}


def to_pixels(sample: Any) -> tuple[Pixels, Kind]:
    """Return the pixels of a sample, and what the sample was.

    :param sample: A Pillow image in mode L or RGB, a float tensor ``(C, H, W)`` with values in
        ``[0, 1]`` (kept with 8 bits per value), a uint8 tensor ``(C, H, W)``, or a uint8 array
        ``(H, W)`` or ``(H, W, C)``, which counts as a Pillow image.
    :raises UserError: for anything else.
    """
    if isinstance(sample, Image.Image):
        if sample.mode not in ("L", "RGB"):
            raise _unfit(f"a Pillow image in mode {sample.mode}", "convert it to RGB or L first")
        return planes(np.asarray(sample)), "pillow"
    if isinstance(sample, torch.Tensor):
        return _from_tensor(sample)
    if isinstance(sample, np.ndarray) and sample.dtype == np.uint8 and sample.ndim in (2, 3):
        return _checked(planes(sample)), "pillow"
    kind = type(sample).__name__
    dtype = f" of {sample.dtype}" if isinstance(sample, np.ndarray) else ""
    raise _unfit(f"a {kind}{dtype}", "exemplars can be stored of image streams only")


def _from_tensor(sample: torch.Tensor) -> tuple[Pixels, Kind]:
    what = f"a tensor of shape {tuple(sample.shape)} and type {sample.dtype}"
    if sample.ndim != 3:
        raise _unfit(what, "image tensors have the shape (C, H, W)")
    kind: Kind
    if sample.is_floating_point():
        if not (sample >= 0).all() or not (sample <= 1).all():
            low, high = float(sample.min()), float(sample.max())
            raise _unfit(
                f"{what} with values from {low:.3g} to {high:.3g}",
                "float images lie in [0, 1]; put normalization into the stream's transforms, "
                "which are applied when an exemplar is read",
            )
        kind = _HALF.get(sample.dtype, "float")
        wide = sample if kind == "float" else sample.float()
        sample = (wide * 255).round().to(torch.uint8)
    elif sample.dtype == torch.uint8:
        kind = "uint8"
    else:
        raise _unfit(what, "image tensors are uint8, or float in [0, 1]")
    return _checked(sample.permute(1, 2, 0).contiguous().cpu().numpy()), kind


def from_pixels(pixels: Pixels, kind: Kind) -> Any:
    """Return the sample that :func:`to_pixels` was given, as far as 8 bits hold it."""
    if kind == "pillow":
        return to_pillow(pixels)
    tensor = torch.from_numpy(pixels.transpose(2, 0, 1).copy())
    if kind == "uint8":
        return tensor
    values = tensor.to(torch.get_default_dtype()).div_(255)
    return values if kind == "float" else values.to(getattr(torch, kind))


def to_pillow(pixels: Pixels) -> Image.Image:
    """Return a Pillow image in mode L or RGB."""
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)


def planes(array: npt.NDArray[np.uint8]) -> Pixels:
    """Return ``(H, W)`` as ``(H, W, 1)``."""
    return array[:, :, None] if array.ndim == 2 else array


def _checked(pixels: Pixels) -> Pixels:
    height, width, channels = pixels.shape
    if channels not in (1, 3) or not (0 < height < 2**16 and 0 < width < 2**16):
        raise _unfit(
            f"an image of {height}x{width} pixels with {channels} channels",
            "images have 1 or 3 channels and sides of 1 to 65535 pixels",
        )
    return pixels


def _unfit(what: str, remedy: str) -> UserError:
    return UserError(f"cannot store {what} as an exemplar: {remedy}")
