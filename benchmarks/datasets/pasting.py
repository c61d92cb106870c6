"""Small grey images pasted onto photographs: objects on real backgrounds, without a download."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image
from torch.utils.data import Dataset

Pixels = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]

_PURPOSE = 3  # first word of the seed, beside those in choices
_KEPT_BYTES = 2**28


class PastedSamples:
    """Stamps on crops of photographs, put together when they are read.

    Where a stamp goes, its size (3/8 to 5/8 of the image), its color and its background depend on
    ``seed`` and on its row alone. The first images read, up to 256 MiB of them, stay in memory.

    :param stamps: uint8 ``(N, h, w)``: how much of the color shows, 255 for all of it.
    :param labels: ``(N,)`` class ids.
    :param photographs: uint8 ``(H, W, 3)``, at least ``size`` high and wide.
    :param size: height and width of the images.
    :param seed: words of a seed.
    """

    def __init__(
        self,
        stamps: Pixels,
        labels: np.ndarray,
        photographs: Sequence[Pixels],
        *,
        size: int,
        seed: Sequence[int],
    ) -> None:
        self.stamps = stamps
        self.labels = labels
        self.photographs = list(photographs)
        self.size = size
        self.seed = [_PURPOSE, *seed]
        self._kept: dict[int, Pixels] = {}

    def dataset(self, rows: np.ndarray, labels: np.ndarray) -> Dataset[tuple[Any, int]]:
        return PastedImages(self, rows, labels.tolist())

    def image(self, row: int) -> Pixels:
        """uint8 ``(size, size, 3)``; not to be changed."""
        if row in self._kept:
            return self._kept[row]
        image = self._paste(row)
        if (len(self._kept) + 1) * image.nbytes <= _KEPT_BYTES:
            self._kept[row] = image
        return image

    def true_boxes(self, rows: np.ndarray) -> PastedBoxes:
        """Return the square ``(h0, h1, w0, w1)`` of each stamp in ``rows``."""
        return PastedBoxes(self, rows)

    def true_box(self, row: int) -> Box:
        """Return the square that the stamp of an image takes, half-open, in pixels."""
        random = np.random.RandomState([*self.seed, row])
        draw_crop(random, self.photographs, self.size)
        side, top, left = self._place(random)
        return top, top + side, left, left + side

    def _place(self, random: np.random.RandomState) -> tuple[int, int, int]:
        """Draw side, top and left of a stamp."""
        side = int(random.randint(3 * self.size // 8, 5 * self.size // 8 + 1))
        top, left = random.randint(0, self.size - side + 1, 2).tolist()
        return side, top, left

    def _paste(self, row: int) -> Pixels:
        random = np.random.RandomState([*self.seed, row])
        image = background(random, self.photographs, self.size)
        stamp = self.stamps[row]
        side, top, left = self._place(random)
        shape = Image.fromarray(stamp).resize((side, side), Image.Resampling.BILINEAR)
        share = np.asarray(shape, dtype=np.int32)[:, :, None]
        under = image[top : top + side, left : left + side].astype(np.int32)
        color = random.randint(0, 97, 3)
        if under.mean() < 128:  # bright on dark, dark on bright
            color = 255 - color
        image[top : top + side, left : left + side] = (
            under * (255 - share) + color * share + 127
        ) // 255
        return image


class PastedImages(Dataset[tuple[Any, int]]):
    """Some rows of :class:`PastedSamples` as Pillow images."""

    def __init__(self, samples: PastedSamples, rows: np.ndarray, targets: list[int]) -> None:
        self.samples = samples
        self.rows = rows.tolist()
        self.targets = targets

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return Image.fromarray(self.samples.image(self.rows[index])), self.targets[index]

    def __len__(self) -> int:
        return len(self.targets)


class PastedBoxes(Sequence[Box]):
    """Where the stamps of some rows of :class:`PastedSamples` are."""

    def __init__(self, samples: PastedSamples, rows: np.ndarray) -> None:
        self.samples = samples
        self.rows = rows.tolist()

    def __getitem__(self, index: int) -> Box:  # type: ignore[override]
        return self.samples.true_box(self.rows[index])

    def __len__(self) -> int:
        return len(self.rows)


class Crop(NamedTuple):
    """A square of a photograph: which photograph, how large, where, and whether mirrored."""

    photograph: int
    side: int
    top: int
    left: int
    mirrored: bool


def background(random: np.random.RandomState, photographs: Sequence[Pixels], size: int) -> Pixels:
    """Return a square of a photograph at its own scale or up to twice reduced, perhaps mirrored."""
    number, side, top, left, mirrored = draw_crop(random, photographs, size)
    crop = photographs[number][top : top + side, left : left + side]
    if mirrored:
        crop = crop[:, ::-1]
    square = Image.fromarray(np.ascontiguousarray(crop))
    return np.array(square.resize((size, size), Image.Resampling.BILINEAR))


def draw_crop(random: np.random.RandomState, photographs: Sequence[Pixels], size: int) -> Crop:
    """Draw the square of a photograph that :func:`background` shows."""
    number = int(random.randint(len(photographs)))
    height, width, _ = photographs[number].shape
    side = int(random.randint(size, min(2 * size, height, width) + 1))
    top, left = int(random.randint(height - side + 1)), int(random.randint(width - side + 1))
    return Crop(number, side, top, left, bool(random.randint(2)))
