"""notMNIST and Omniglot: folders of small drawings of letters.

Broken files raise a :class:`DataMissingError` that names the file. What folders hold is sorted by
name, so that nothing depends on the file system.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from cl_strategies.benchmarks.datasets.published import LoadedDataset, PublishedDataset
from cl_strategies.benchmarks.readers.errors import broken
from cl_strategies.benchmarks.readers.folders import folders_in, names_in
from cl_strategies.benchmarks.readers.size_limits import read_picture

LETTERS = "ABCDEFGHIJ"
_NOTMNIST = (
    "http://yaroslavvb.com/upload/notMNIST/notMNIST_small.tar.gz",
    "c9890a473a9769fda4bdf314aaf500dd",
)
#: Letters have 28x28 pixels, characters 105x105.
_GLYPH_PIXELS = 2**16

#: Two files of notMNIST_small that are empty as published.
_UNREADABLE = {
    "RGVtb2NyYXRpY2FCb2xkT2xkc3R5bGUgQm9sZC50dGY=.png",
    "Q3Jvc3NvdmVyIEJvbGRPYmxpcXVlLnR0Zg==.png",
}


class NotMnist(PublishedDataset[LoadedDataset]):
    """The small part of notMNIST: 18,724 letters of 28x28 pixels.

    A fixed tenth of each class is for testing.
    """

    name = "notmnist"
    title = "notMNIST (small)"
    avalanche_folder = "notmnist"
    layout = "notMNIST_small"
    files = tuple(LETTERS)

    def fetch(self, root: Path) -> None:
        from torchvision.datasets.utils import download_and_extract_archive

        url, md5 = _NOTMNIST
        download_and_extract_archive(url, str(root), md5=md5)

    def load(self, data_root: str | Path | None = None) -> LoadedDataset:
        from cl_strategies.benchmarks.datasets.in_memory import divided_dataset, grey_tensor

        images, labels = read_notmnist(self.locate(data_root))
        return divided_dataset(grey_tensor(images), labels, 0.1, LETTERS)


class Omniglot(PublishedDataset[list[list[Path]]]):
    """20 drawings of each of 1,623 characters; :meth:`load` lists the files of each character."""

    name = "omniglot"
    title = "Omniglot"
    avalanche_folder = "omniglot"
    layout = "omniglot-py"
    files = ("images_background", "images_evaluation")
    stream = "omniglot-rotation"

    def fetch(self, root: Path) -> None:
        from torchvision import datasets

        for background in (True, False):
            datasets.Omniglot(str(root), background=background, download=True)

    def load(self, data_root: str | Path | None = None) -> list[list[Path]]:
        return omniglot_characters(self.locate(data_root))


def read_notmnist(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return images ``(N, 28, 28)`` uint8 and labels ``(N,)`` int64, letter by letter, by file
    name.

    Two files that are unreadable as published are left out.
    """
    images: list[np.ndarray] = []
    labels: list[int] = []
    for label, letter in enumerate(LETTERS):
        for path in _drawings(folder / letter):
            images.append(np.asarray(read_grey(path)))
            labels.append(label)
            if images[-1].shape != (28, 28):
                broken(path, f"it is an image of {images[-1].shape[::-1]} pixels, not of 28x28")
    return np.stack(images), np.asarray(labels, dtype=np.int64)


def omniglot_characters(folder: Path) -> list[list[Path]]:
    """Return the drawings of every character: those of ``images_background`` first, then the
    others."""
    characters = []
    for part in ("images_background", "images_evaluation"):
        for alphabet in folders_in(folder / part):
            for name in folders_in(folder / part / alphabet):
                characters.append(_drawings(folder / part / alphabet / name))
    return characters


def _drawings(folder: Path) -> list[Path]:
    names = [name for name in names_in(folder, ".png") if name not in _UNREADABLE]
    return [folder / name for name in names] or broken(folder, "it has no .png files")


def read_grey(path: Path) -> Image.Image:
    """Return the image in ``path``, 8-bit grey."""
    try:
        return read_picture(path, "L", _GLYPH_PIXELS)
    except OSError as error:
        broken(path, str(error), error)
