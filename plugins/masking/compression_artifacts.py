"""Train on new images as they will look once stored.

Compression leaves traces, such as the edge of the box, that tell stored images from new ones. CIM
therefore shows a growing share of the new images compressed (section 4.1 of the paper and 1 of its
supplement).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import torch
from annotated_types import Ge, Le, Unit
from torch import Tensor
from torch.utils.data import Dataset
from typing_extensions import Doc

from cl_strategies.plugins.exemplars.buffer.avalanche_data import (
    RawImages,
    image_transforms,
    labels_of,
    make_dataset,
)
from cl_strategies.plugins.exemplars.codecs.base import Codec
from cl_strategies.plugins.exemplars.codecs.pixels import from_pixels, to_pixels
from cl_strategies.validation.hyperparameters import hyperparameters
from cl_strategies.validation.parameter import Alias


@hyperparameters
@dataclass(frozen=True, kw_only=True)
class ArtifactSchedule:
    """When boxes are made anew, and which share of the new images is compressed from then on.

    Boxes are made at the start of each epoch that is a multiple of the interval, except the first
    and the last; the share then becomes the increment times the number of whole intervals. With
    the paper's 170 to 200 epochs it is 0, 0.1, ..., 0.4.

    :raises UserError: for a value out of its range.
    """

    artifact_interval: Annotated[
        int,
        Ge(1),
        Doc(
            "Epochs between two refreshes of the boxes of new images. The default is for the "
            "paper's 170 to 200 epochs; a fifth of the epochs of an experience is its proportion."
        ),
        Unit("epochs"),
        Alias("artefact_interval"),
    ] = 40
    artifact_increment: Annotated[
        float,
        Ge(0),
        Le(1),
        Doc("Growth at each refresh of the share of new images shown compressed; 0 for none."),
        Alias("artefact_increment"),
    ] = 0.1

    def refreshes(self, epoch: int, epochs: int) -> bool:
        """Return whether boxes are made anew at the start of ``epoch``, from 0, of ``epochs``."""
        return (
            self.artifact_increment > 0
            and 0 < epoch < epochs - 1
            and epoch % self.artifact_interval == 0
        )

    def share(self, epoch: int) -> float:
        """Return the share of the new images to compress after a refresh at ``epoch``."""
        return min(1.0, epoch // self.artifact_interval * self.artifact_increment)

    def ever(self, epochs: int) -> bool:
        """Return whether any of ``epochs`` has a refresh."""
        return any(self.refreshes(epoch, epochs) for epoch in range(epochs))


class ArtifactImages(Dataset[tuple[Any, int]]):
    """Show a share of some images, drawn anew for each reading, as they will be stored.

    Boxes and share are tensors in shared memory, so that workers of a data loader that are
    already running see them change.

    :param dataset: An Avalanche data set.
    :param codec: The codec that exemplars are stored with.
    """

    def __init__(self, dataset: Any, codec: Codec) -> None:
        self.images = RawImages(dataset)
        self.targets, self.tasks = labels_of(dataset)
        self.codec = codec
        self.boxes = torch.zeros(len(self.images), 4, dtype=torch.int64).share_memory_()
        self.share = torch.zeros(()).share_memory_()
        self.transforms = image_transforms(dataset)

    def update(self, boxes: Tensor, share: float) -> None:
        """Change the boxes, int64 ``(N, 4)``, and the share of images, in ``[0, 1]``."""
        self.boxes.copy_(boxes)
        self.share.fill_(share)

    def dataset(self) -> Any:
        """Make an Avalanche data set of these images, with the transforms of the original one."""
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
