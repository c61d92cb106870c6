"""Which transforms may run once per sample, and which once per batch.

A pipeline is split in two: a prefix of deterministic transforms, applied to each sample when it is
read for the first and last time, and a suffix of batched equivalents, applied to every mini-batch.
Anything that is not known is refused: a callable may draw random numbers, and freezing one draw
would silently train on other data.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from avalanche.benchmarks.utils.classification_dataset import lookup
from avalanche.benchmarks.utils.transforms import (
    MultiParamCompose,
    MultiParamTransformCallable,
    TupleTransform,
)
from PIL import Image
from torch import Tensor
from torchvision import transforms as tv
from torchvision.transforms import functional as tvf

from cl_strategies.plugins.data import augment
from cl_strategies.plugins.data.flatten import NotResident

BatchOp = Callable[[Tensor], Tensor]

_DETERMINISTIC = (
    tv.CenterCrop,
    tv.ConvertImageDtype,
    tv.Grayscale,
    tv.Normalize,
    tv.PILToTensor,
    tv.Pad,
    tv.Resize,
    tv.ToTensor,
)
_DETERMINISTIC_BY_NAME = {"avalanche.benchmarks.classic.cmnist.PixelsPermutation"}


def split_pipeline(pipeline: tuple[Any, ...]) -> tuple[list[Any], list[Any]]:
    """Return the transforms of the input and of the target, flattened, first applied first.

    :param pipeline: entries of Avalanche transform groups.
    :raises NotResident: if one of them takes several elements of a sample at once.
    """
    inputs: list[Any] = []
    targets: list[Any] = []
    for transform in pipeline:
        if isinstance(transform, TupleTransform):
            entries: list[Any] = [*transform.transforms, None, None]
            on_input, on_target, *others = entries
            if any(other is not None for other in others):
                raise NotResident(f"{transform} changes more than the input and the target")
            inputs += _flat(on_input)
            targets += _flat(on_target)
        elif isinstance(transform, MultiParamCompose):
            more_inputs, more_targets = split_pipeline(tuple(transform.transforms))
            inputs += more_inputs
            targets += more_targets
        elif isinstance(transform, MultiParamTransformCallable) and transform.max_params == 1:
            inputs += _flat(transform.transform)
        elif type(transform).__module__.startswith("torchvision.transforms"):
            inputs += _flat(transform)
        else:
            raise NotResident(f"the transform {_name(transform)} is not known")
    return inputs, targets


def is_deterministic(transform: Any) -> bool:
    """Return whether ``transform`` is known to give the same output for the same input.

    A transform of your own is trusted if it has the attribute ``deterministic = True``.
    """
    name = f"{type(transform).__module__}.{type(transform).__qualname__}"
    return (
        type(transform) in _DETERMINISTIC
        or name in _DETERMINISTIC_BY_NAME
        or getattr(transform, "deterministic", False) is True
    )


def is_deterministic_target(transform: Any) -> bool:
    """Return the same for a transform of the target, such as a look-up in a table or ``int``."""
    if isinstance(transform, functools.partial):
        return transform.func is lookup
    table = getattr(transform, "__self__", None)
    if isinstance(table, dict | list | tuple) and transform.__name__ == "__getitem__":
        return True
    return transform is int or transform is float or is_deterministic(transform)


def splits(transforms: list[Any]) -> Iterator[tuple[list[Any], list[Any]]]:
    """Yield ways of splitting ``transforms`` into prefix and suffix, the preferred one first.

    First everything deterministic up front; then, for less memory, stopping before the images
    become floats.

    :raises NotResident: if a random transform has no batched equivalent.
    """
    random = [i for i, transform in enumerate(transforms) if not is_deterministic(transform)]
    first = random[0] if random else len(transforms)
    for transform in transforms[first:]:
        if type(transform) not in _BATCHED:
            raise NotResident(f"the transform {_name(transform)} has no batched equivalent")
    yield transforms[:first], transforms[first:]
    for i, transform in enumerate(transforms[:first]):
        if type(transform) is tv.ToTensor and all(type(t) in _BATCHED for t in transforms[i:]):
            yield transforms[:i], transforms[i:]


def batch_ops(suffix: list[Any], *, image: bool) -> list[BatchOp]:
    """Return batched equivalents of ``suffix``.

    :param image: whether the stored samples stand for Pillow images (uint8), which only ToTensor
        or PILToTensor turn into tensors.
    :raises NotResident: if the samples would not be tensors in the end.
    """
    ops: list[BatchOp] = []
    for transform in suffix:
        if type(transform) in (tv.ToTensor, tv.PILToTensor):
            if not image:
                raise NotResident(f"{_name(transform)} is applied to something not an image")
            image = False
        elif image and type(transform) in (tv.Normalize, tv.ConvertImageDtype):
            raise NotResident(f"{_name(transform)} is applied before the image is a tensor")
        op = _BATCHED[type(transform)](transform)
        if op is not None:
            ops.append(op)
    if image:
        raise NotResident("its samples are images that no transform turns into tensors")
    return ops


def as_stored(value: Any) -> tuple[Tensor, bool]:
    """Return the tensor to keep for a sample, and whether it stands for a Pillow image.

    :raises NotResident: for anything but tensors, numbers, and 8-bit gray or RGB images.
    """
    if isinstance(value, Tensor):
        return value, False
    if isinstance(value, Image.Image) and value.mode in ("L", "RGB"):
        return tvf.pil_to_tensor(value), True
    if isinstance(value, np.ndarray) and value.dtype == np.uint8 and value.ndim in (2, 3):
        planes = value[:, :, None] if value.ndim == 2 else value
        return torch.from_numpy(np.ascontiguousarray(planes.transpose(2, 0, 1))), True
    raise NotResident(f"its samples are of type {type(value).__name__}")


def _flat(transform: Any) -> list[Any]:
    if transform is None:
        return []
    if type(transform) is tv.Compose or isinstance(transform, list | tuple):
        parts = transform.transforms if isinstance(transform, tv.Compose) else transform
        return [leaf for part in parts for leaf in _flat(part)]
    return [transform]


def _name(transform: Any) -> str:
    return getattr(transform, "__qualname__", type(transform).__qualname__)


def _crop(transform: tv.RandomCrop) -> BatchOp:
    height, width = transform.size

    def op(images: Tensor) -> Tensor:
        if transform.padding is not None:
            images = tvf.pad(images, transform.padding, transform.fill, transform.padding_mode)
        if transform.pad_if_needed:
            missing = [max(width - images.shape[-1], 0), max(height - images.shape[-2], 0)]
            if any(missing):
                images = tvf.pad(images, missing, transform.fill, transform.padding_mode)
        return augment.random_crop(images, (height, width))

    return op


def _jitter(transform: tv.ColorJitter) -> BatchOp:
    return functools.partial(
        augment.color_jitter,
        brightness=transform.brightness,
        contrast=transform.contrast,
        saturation=transform.saturation,
        hue=transform.hue,
    )


_BATCHED: dict[type, Callable[[Any], BatchOp | None]] = {
    tv.RandomCrop: _crop,
    tv.RandomHorizontalFlip: lambda t: functools.partial(augment.random_flip, p=t.p, dim=-1),
    tv.RandomVerticalFlip: lambda t: functools.partial(augment.random_flip, p=t.p, dim=-2),
    tv.ColorJitter: _jitter,
    tv.ToTensor: lambda t: lambda images: images.to(torch.get_default_dtype()).div_(255),
    tv.PILToTensor: lambda t: None,
    tv.ConvertImageDtype: lambda t: t,
    tv.Normalize: lambda t: functools.partial(augment.normalize, mean=t.mean, std=t.std),
}
