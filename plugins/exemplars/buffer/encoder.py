"""From the samples of a data set to payloads, and the rules for boxes that some codecs need."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from torch.utils.data import Dataset

from cl_strategies.plugins.exemplars.buffer.avalanche_data import RawImages
from cl_strategies.plugins.exemplars.codecs.base import Codec
from cl_strategies.plugins.exemplars.codecs.pixels import Kind, from_pixels, to_pixels
from cl_strategies.plugins.protocols.training import TrainingStrategy

#: The box of a sample: from its index and the height and width of its image.
BoxOf = Callable[[int, tuple[int, int]], tuple[int, int, int, int]]


class BoxRule(Protocol):
    """Tells which part of each image matters; see :mod:`cl_strategies.plugins.masking.boxes`."""

    def __call__(self, strategy: TrainingStrategy, dataset: Any) -> BoxOf:
        """Return the boxes of the samples of ``dataset``, which is whole and new."""


class Encoder:
    """Encodes a sample, which it is given the index of."""

    def __init__(self, dataset: Any, codec: Codec, box_of: BoxOf | None) -> None:
        self.images = RawImages(dataset)
        self.codec = codec
        self.box_of = box_of

    def __call__(self, row: int) -> bytes:
        pixels, _ = to_pixels(self.images[row])
        size = (pixels.shape[0], pixels.shape[1])
        return self.codec.encode(pixels, self.box_of(row, size) if self.box_of else None)


class AsStored(Dataset[tuple[Any, int]]):
    """Shows samples as they will be once stored and read again."""

    def __init__(
        self, encode: Callable[[int], bytes], codec: Codec, kind: Kind, labels: list[int]
    ) -> None:
        self.encode, self.codec, self.kind, self.labels = encode, codec, kind, labels

    def __getitem__(self, row: int) -> tuple[Any, int]:
        return from_pixels(self.codec.decode(self.encode(row)), self.kind), self.labels[row]

    def __len__(self) -> int:
        return len(self.labels)
