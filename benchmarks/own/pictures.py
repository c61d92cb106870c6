"""Images that somebody brings: each decoded once, brought to one size, kept if they all fit."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image
from torch.utils.data import Dataset

from cl_strategies.errors import UserError

_DIGEST = 16  # bytes that stand for the content of an image
_CHUNK = 512  # images that are decoded at a time
_THREADS = 4  # decoders let others compute meanwhile

Bytes = npt.NDArray[np.uint8]


class PictureSource(Protocol):
    """Images that are read one by one.

    ``parallel`` says whether several threads may read at once.
    """

    parallel: bool

    def __len__(self) -> int: ...

    def read(self, row: int, mode: str) -> tuple[Image.Image, bytes]:
        """Return an image in ``mode`` (``"RGB"`` or ``"L"``), and bytes that tell its content.

        :raises OSError: if it cannot be read.
        """

    def name(self, row: int) -> str:
        """Return what a message calls it: a file, a row of a table."""


@dataclass(frozen=True)
class Treatment:
    """How an image is brought to the form that it is kept in.

    :param size: height and width; ``None``: as it is.
    :param crop: cut what does not fit, instead of stretching.
    :param gray: one channel.
    """

    size: tuple[int, int] | None = None
    crop: bool = False
    gray: bool = False

    @property
    def mode(self) -> str:
        return "L" if self.gray else "RGB"

    def __call__(self, image: Image.Image) -> Image.Image:
        if self.size is None or (image.height, image.width) == self.size:
            return image
        height, width = self.size
        if not self.crop:
            return image.resize((width, height), Image.Resampling.BILINEAR)
        scale = max(height / image.height, width / image.width)
        larger = (
            max(width, round(image.width * scale)),
            max(height, round(image.height * scale)),
        )
        image = image.resize(larger, Image.Resampling.BILINEAR)
        left, top = (larger[0] - width) // 2, (larger[1] - height) // 2
        return image.crop((left, top, left + width, top + height))


class Pictures:
    """All images of a source, behind a treatment.

    Each is read and checked when this is made. Pillow resizes in integer arithmetic, so that the
    pixels are the same on every machine.

    :param source: the images.
    :param treatment: what they become.
    :param cache_bytes: decoded images are kept if they take no more than this.
    :ivar pixels: uint8 ``(N, H, W)`` or ``(N, H, W, 3)``; ``None`` if they do not fit.
    :ivar digests: uint8 ``(N, 16)``, of the content of each image and of the treatment.
    :ivar size: height and width.
    :raises UserError: for an image that cannot be read, or is of another size than the first.
    """

    def __init__(self, source: PictureSource, treatment: Treatment, cache_bytes: int) -> None:
        self.source: PictureSource | None = source
        self.treatment = treatment
        self.digests = np.zeros((len(source), _DIGEST), dtype=np.uint8)
        self.pixels: Bytes | None = None
        self.size = treatment.size or (0, 0)
        self._read_all(source, cache_bytes)

    def __len__(self) -> int:
        return len(self.digests)

    @property
    def channels(self) -> int:
        return 1 if self.treatment.gray else 3

    @property
    def n_bytes(self) -> int:
        """Memory that decoded images take, kept or not."""
        return len(self) * self.size[0] * self.size[1] * self.channels

    def image(self, row: int) -> Image.Image:
        """Return one image as it is after the treatment."""
        if self.pixels is not None:
            return Image.fromarray(self.pixels[row])
        return self._read(row)[0]

    def arrays(self, rows: npt.NDArray[np.int64]) -> Iterator[Bytes]:
        """Yield the images in ``rows`` in a few arrays, uint8 ``(n, H, W, C)``."""
        shape = (-1, *self.size, self.channels)
        for begin in range(0, len(rows), _CHUNK):
            chunk = rows[begin : begin + _CHUNK]
            if self.pixels is not None:
                yield self.pixels[chunk].reshape(shape)
            else:
                found = [np.asarray(self.image(int(row))) for row in chunk]
                yield np.stack(found).reshape(shape)

    def _read_all(self, source: PictureSource, cache_bytes: int) -> None:
        threads = _THREADS if source.parallel else 1
        first = ""
        with ThreadPoolExecutor(threads) as pool:
            for begin in range(0, len(source), _CHUNK):
                rows = range(begin, min(begin + _CHUNK, len(source)))
                found = pool.map(self._read, rows) if threads > 1 else map(self._read, rows)
                for row, (image, digest) in zip(rows, found, strict=True):
                    if not first:
                        first = source.name(row)
                        self.size = image.height, image.width
                        if self.n_bytes <= cache_bytes:
                            shape = (len(source), *np.asarray(image).shape)
                            self.pixels = np.empty(shape, dtype=np.uint8)
                    if (image.height, image.width) != self.size:
                        raise UserError(
                            f"{source.name(row)} has {image.height}x{image.width} pixels, and "
                            f"{first} has {self.size[0]}x{self.size[1]}: give image_size, which "
                            "brings all images to one size"
                        )
                    self.digests[row] = np.frombuffer(digest, dtype=np.uint8)
                    if self.pixels is not None:
                        self.pixels[row] = np.asarray(image)

    def _read(self, row: int) -> tuple[Image.Image, bytes]:
        """:raises UserError: if it cannot be read."""
        if self.source is None:
            raise UserError("the images are neither in memory nor in files: make the stream again")
        try:
            image, content = self.source.read(row, self.treatment.mode)
        except OSError as error:
            raise UserError(
                f"{self.source.name(row)} is not a readable image ({error.strerror or error}): "
                "replace it or take it out"
            ) from error
        digest = hashlib.sha256(repr(self.treatment).encode() + content).digest()
        return self.treatment(image), digest[:_DIGEST]

    def __getstate__(self) -> dict[str, Any]:
        """Without the source of images that are in memory, which may be anything."""
        kept = {} if self.pixels is None else {"source": None}
        return {**self.__dict__, **kept}


class PictureSamples:
    """Some images with the class ids of their data set.

    :param pictures: all images.
    :param rows: which of them.
    :param labels: ``(len(rows),)`` class ids.
    """

    def __init__(
        self,
        pictures: Pictures,
        rows: npt.NDArray[np.int64],
        labels: npt.NDArray[np.int64],
    ) -> None:
        self.pictures, self.rows, self.labels = pictures, rows, labels

    def dataset(self, rows: np.ndarray, labels: np.ndarray) -> Dataset[tuple[Any, int]]:
        return LabeledPictures(self.pictures, self.rows[rows], labels.tolist())


class LabeledPictures(Dataset[tuple[Any, int]]):
    """Pillow images with labels.

    :ivar digests: uint8 ``(N, 16)``: two data sets of the same digests are of the same images.
    """

    def __init__(self, pictures: Pictures, rows: npt.NDArray[np.int64], targets: list[int]) -> None:
        self.pictures, self.rows, self.targets = pictures, rows, targets

    @property
    def digests(self) -> Bytes:
        return self.pictures.digests[self.rows]

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self.pictures.image(int(self.rows[index])), self.targets[index]

    def __len__(self) -> int:
        return len(self.targets)
