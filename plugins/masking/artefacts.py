"""Training on new images as they will look once stored.

Compression leaves traces, such as the edge of the box, that tell stored images from new ones. CIM
therefore shows a growing share of the new images compressed (section 4.1 of the paper and 1 of its
supplement).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from cl_strategies.errors import UserError
from cl_strategies.plugins.exemplars.codec import Codec
from cl_strategies.plugins.exemplars.pixels import from_pixels, to_pixels
from cl_strategies.plugins.exemplars.source import (
    RawImages,
    image_transforms,
    labels_of,
    make_dataset,
)


@dataclass(frozen=True, kw_only=True)
class ArtefactSchedule:
    """When boxes are made anew, and which share of the new images is compressed from then on.

    Boxes are made at the start of each epoch that is a multiple of ``interval``, except the first
    and the last; the share then becomes ``increment`` times the number of whole intervals. With
    the paper's 170 to 200 epochs it is 0, 0.1, ..., 0.4.

    :param interval: epochs, at least 1; scale it with the epochs of an experience.
    :param increment: share per interval, in ``[0, 1]``; 0 switches the augmentation off.
    :raises UserError: for a value out of range.
    """

    interval: int = 40
    increment: float = 0.1

    def __post_init__(self) -> None:
        if self.interval < 1:
            raise UserError(f"interval is {self.interval}: give a number of epochs of 1 or more")
        if not 0 <= self.increment <= 1:
            raise UserError(f"increment is {self.increment}: give a share from 0 to 1")

    def refreshes(self, epoch: int, epochs: int) -> bool:
        """Whether boxes are made anew at the start of ``epoch`` (counted from 0) of ``epochs``."""
        return self.increment > 0 and 0 < epoch < epochs - 1 and epoch % self.interval == 0

    def share(self, epoch: int) -> float:
        """Share of the new images to compress after a refresh at ``epoch``."""
        return min(1.0, epoch // self.interval * self.increment)

    def ever(self, epochs: int) -> bool:
        """Whether any of ``epochs`` has a refresh."""
        return any(self.refreshes(epoch, epochs) for epoch in range(epochs))


class ArtefactImages(Dataset[tuple[Any, int]]):
    """Images of which a share, drawn anew for each reading, is encoded and decoded.

    Boxes and share are tensors in shared memory, so that workers of a data loader that are
    already running see them change.

    :param dataset: an Avalanche data set.
    :param codec: what the exemplars are stored with.
    """

    def __init__(self, dataset: Any, codec: Codec) -> None:
        self.images = RawImages(dataset)
        self.targets, self.tasks = labels_of(dataset)
        self.codec = codec
        self.boxes = torch.zeros(len(self.images), 4, dtype=torch.int64).share_memory_()
        self.share = torch.zeros(()).share_memory_()
        self.transforms = image_transforms(dataset)

    def update(self, boxes: Tensor, share: float) -> None:
        """:param boxes: int64 ``(N, 4)``. :param share: in ``[0, 1]``."""
        self.boxes.copy_(boxes)
        self.share.fill_(share)

    def dataset(self) -> Any:
        """An Avalanche data set of these images, with the transforms of the original one."""
        return make_dataset(self, self.targets, self.tasks, self.transforms)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        image = self.images[index]
        # Drawn also while the share is 0: a reading that is not random may be kept for good.
        if float(torch.rand(())) < float(self.share):
            pixels, kind = to_pixels(image)
            payload = self.codec.encode(pixels, self.boxes[index].tolist())
            image = from_pixels(self.codec.decode(payload), kind)
        return image, self.targets[index]

    def __len__(self) -> int:
        return len(self.targets)
