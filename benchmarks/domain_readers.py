"""Readers of Office-31 and ImageCLEF-DA: several domains with the same classes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from cl_strategies.benchmarks.damage import broken
from cl_strategies.benchmarks.listing import files_in, folders_in, lines_in, names_in
from cl_strategies.errors import DataMissingError

_SHOWN = 200  # characters of a line

Labelled = tuple[list[str], np.ndarray]

OFFICE31 = {"A": "amazon", "D": "dslr", "W": "webcam"}
OFFICE31_CLASSES = 31
#: Bing, Caltech-256, ImageNet and Pascal VOC.
IMAGECLEF = ("B", "C", "I", "P")
#: The twelve classes in the order of their labels.
IMAGECLEF_CLASSES = (
    "aeroplane",
    "bike",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "dog",
    "horse",
    "monitor",
    "motorbike",
    "people",
)


def read_office31(folder: Path) -> tuple[list[str], dict[str, Labelled]]:
    """Class names, and for each domain (``A``, ``D``, ``W``) its files with labels ``(N,)``.

    The folders are such as ``amazon/images/back_pack``; classes and files are sorted by name.

    :raises DataMissingError: if the classes are others, or one has no images.
    """
    found: dict[str, Labelled] = {}
    names: list[str] = []
    for letter, domain in OFFICE31.items():
        images = folder / domain / "images"
        classes = folders_in(images)
        names = names or classes
        if classes != names or len(classes) != OFFICE31_CLASSES:
            raise DataMissingError(
                f"{images} has {len(classes)} folders, expected the same {OFFICE31_CLASSES} in "
                "each domain: unpack Office-31 again"
            )
        files: list[str] = []
        labels: list[int] = []
        for label, name in enumerate(classes):
            inside = [os.path.join(images, name, file) for file in files_in(images / name)]
            if not inside:
                broken(images / name, "it has no images")
            files += inside
            labels += [label] * len(inside)
        found[letter] = files, np.asarray(labels, dtype=np.int64)
    return names, found


def read_imageclef(folder: Path) -> dict[str, Labelled]:
    """For each domain (``B``, ``C``, ``I``, ``P``) its files with labels ``(N,)``.

    The images of a domain lie in ``i``, and ``iList.txt`` (there or in ``list``) has lines such as
    ``i/n02691156_7563.JPEG 0``; of a longer path the last two parts count.

    :raises DataMissingError: if a list is missing or does not fit its images.
    """
    found = {}
    for letter in IMAGECLEF:
        domain = letter.lower()
        places = [folder / f"{domain}List.txt", folder / "list" / f"{domain}List.txt"]
        path = next((place for place in places if os.path.exists(place)), None)
        if path is None:
            raise DataMissingError(
                f"{places[0]} is missing: ImageCLEF-DA names the class of each image there, or in "
                f"{places[1]}; unpack it again"
            )
        found[letter] = _listed(folder, domain, path)
    return found


def _listed(folder: Path, domain: str, path: Path) -> Labelled:
    lines = lines_in(path)
    there = set(names_in(folder / domain))
    numbers = [str(number) for number in range(len(IMAGECLEF_CLASSES))]
    files, labels = [], []
    for line in lines:
        name, _, number = line.rpartition(" ")
        name = name.strip().replace("\\", "/").rpartition("/")[2]
        if name not in there or number not in numbers:
            shown = f"the line {line[:_SHOWN]!r} names no image of {domain}"
            broken(path, f"{shown} with one of twelve classes")
        files.append(os.path.join(folder, domain, name))
        labels.append(int(number))
    missing = set(range(len(IMAGECLEF_CLASSES))) - set(labels)
    if missing:
        broken(path, f"it has no image of the classes {sorted(missing)}")
    return files, np.asarray(labels, dtype=np.int64)
