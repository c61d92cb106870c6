"""Readers of SVHN's .mat files, of notMNIST's and Omniglot's folders, and of images in a CSV file.

Broken files raise a :class:`~cl_strategies.errors.DataMissingError` that names the file. What
folders hold is sorted by name, so that nothing depends on the file system.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from cl_strategies.benchmarks.damage import broken
from cl_strategies.benchmarks.limits import read_picture, unpack
from cl_strategies.benchmarks.listing import folders_in, names_in
from cl_strategies.benchmarks.mat_files import read_mat_arrays

LETTERS = "ABCDEFGHIJ"

#: The table of 5,000 images has 9,139,322 bytes.
_TABLE_BYTES = 2**24
_LINE_LENGTH = 2**12
#: Letters have 28x28 pixels, characters 105x105.
_GLYPH_PIXELS = 2**16

#: Two files of notMNIST_small that are empty as published.
_UNREADABLE = {
    "RGVtb2NyYXRpY2FCb2xkT2xkc3R5bGUgQm9sZC50dGY=.png",
    "Q3Jvc3NvdmVyIEJvbGRPYmxpcXVlLnR0Zg==.png",
}


def read_svhn(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images ``(N, 32, 32, 3)`` uint8 and labels ``(N,)`` int64 of one of SVHN's .mat files.

    The files call the digit 0 class 10; here it is class 0.
    """
    try:
        entry = read_mat_arrays(path, {"X": 4, "y": 2})
    except Exception as error:  # a broken file raises almost anything
        broken(path, str(error) or type(error).__name__, error)
    images, labels = entry.get("X"), entry.get("y")
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.ndim != 4:
        broken(path, "it has no array 'X' of unsigned bytes with four dimensions")
    if images.shape[:3] != (32, 32, 3) or not isinstance(labels, np.ndarray):
        broken(path, f"its images of shape {images.shape} are not (32, 32, 3, N) with labels 'y'")
    if labels.size != images.shape[3] or not np.isin(labels, np.arange(1, 11)).all():
        broken(path, f"its {labels.size} labels are not one of 1..10 for each image")
    digits = labels.reshape(-1).astype(np.int64) % 10
    return np.ascontiguousarray(images.transpose(3, 0, 1, 2)), digits


def read_notmnist(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images ``(N, 28, 28)`` uint8 and labels ``(N,)`` int64, letter by letter, by file name.

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


def read_image_table(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images ``(N, 28, 28)`` uint8 and labels ``(N,)`` int64 of a compressed CSV file.

    Each line holds 784 pixels from 0 to 255 and a label from 0 to 9.
    """
    try:
        lines = _table_lines(unpack(path, _TABLE_BYTES))
        table = np.loadtxt(lines, delimiter=",", ndmin=2, dtype=np.int64)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        broken(path, str(error), error)
    if table.shape[1] != 785 or not len(table):
        broken(path, f"it has {table.shape[1]} columns, not 784 pixels and a label")
    pixels, labels = table[:, :-1], table[:, -1]
    if pixels.min() < 0 or pixels.max() > 255:
        broken(path, f"its pixels are from {pixels.min()} to {pixels.max()}, not from 0 to 255")
    if labels.min() < 0 or labels.max() > 9:
        broken(path, f"its labels are from {labels.min()} to {labels.max()}, not from 0 to 9")
    return pixels.astype(np.uint8).reshape(-1, 28, 28), labels


def _table_lines(content: bytes) -> Iterator[str]:
    """The lines one by one: in a list, each takes fifty bytes beside its letters."""
    for line in io.TextIOWrapper(io.BytesIO(content), encoding="ascii"):
        if len(line) > _LINE_LENGTH:
            raise ValueError(f"it has a line of more than the {_LINE_LENGTH:,} letters allowed")
        yield line


def omniglot_characters(folder: Path) -> list[list[Path]]:
    """The drawings of every character: those of ``images_background`` first, then the others."""
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
    """The image in ``path``, 8-bit grey."""
    try:
        return read_picture(path, "L", _GLYPH_PIXELS)
    except OSError as error:
        broken(path, str(error), error)
