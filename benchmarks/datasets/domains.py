"""Office-31 and ImageCLEF-DA: several domains with the same classes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cl_strategies.benchmarks.datasets.published import ManualDataset
from cl_strategies.benchmarks.readers.class_folders import FilesAndLabels
from cl_strategies.benchmarks.readers.errors import broken
from cl_strategies.benchmarks.readers.folders import files_in, folders_in, lines_in, names_in
from cl_strategies.errors import DataMissingError

_SHOWN = 200  # characters of a line

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


@dataclass(frozen=True)
class ImageDomains:
    """Images of the same classes in several domains.

    :param class_names: one name per class id.
    :param domains: files with their class ids ``(N,)``, by the letter of the domain.
    """

    class_names: tuple[str, ...]
    domains: dict[str, FilesAndLabels]


class Office31(ManualDataset[ImageDomains]):
    """Photographs of 31 office supplies: from Amazon (A), a DSLR camera (D), a webcam (W)."""

    name = "office-31"
    title = "Office-31"
    avalanche_folder = "office31"
    layout = "office31"
    files = ("amazon/images", "dslr/images", "webcam/images")
    stream = "office-31"
    by_hand = (
        "download domain_adaptation_images.tar.gz from the authors' page, and unpack it to office31"
    )

    def load(self, data_root: str | Path | None = None) -> ImageDomains:
        names, domains = read_office31(self.locate(data_root))
        return ImageDomains(tuple(names), domains)


class ImageClef(ManualDataset[ImageDomains]):
    """Photographs in 12 classes: from Bing (B), Caltech-256 (C), ImageNet (I), Pascal VOC (P)."""

    name = "imageclef"
    title = "ImageCLEF-DA"
    avalanche_folder = "imageclef"
    layout = "image_CLEF"
    files = ("b", "c", "i", "p")
    stream = "imageclef"
    by_hand = (
        "download image_CLEF, to which the pages of domain-adaptation libraries link, and unpack it"
    )

    def load(self, data_root: str | Path | None = None) -> ImageDomains:
        return ImageDomains(IMAGECLEF_CLASSES, read_imageclef(self.locate(data_root)))


def read_office31(folder: Path) -> tuple[list[str], dict[str, FilesAndLabels]]:
    """Return class names, and for each domain (``A``, ``D``, ``W``) its files with labels ``(N,)``.

    The folders are such as ``amazon/images/back_pack``; classes and files are sorted by name.

    :raises DataMissingError: if the classes are others, or one has no images.
    """
    found: dict[str, FilesAndLabels] = {}
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


def read_imageclef(folder: Path) -> dict[str, FilesAndLabels]:
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


def _listed(folder: Path, domain: str, path: Path) -> FilesAndLabels:
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
