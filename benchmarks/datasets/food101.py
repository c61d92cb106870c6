"""Food-101: photographs of dishes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cl_strategies.benchmarks.datasets.published import LoadedDataset, PublishedDataset
from cl_strategies.benchmarks.readers.class_folders import FilesAndLabels, check_complete
from cl_strategies.benchmarks.readers.errors import broken, check_name
from cl_strategies.benchmarks.readers.folders import lines_in


class Food101(PublishedDataset[LoadedDataset]):
    """75,750 training and 25,250 test photographs, in 101 classes."""

    name = "food-101"
    title = "Food-101"
    avalanche_folder = "food101"
    layout = "food-101"
    files = ("images", "meta/classes.txt", "meta/train.txt", "meta/test.txt")

    def fetch(self, root: Path) -> None:
        from torchvision import datasets

        datasets.Food101(str(root), download=True)

    def load(self, data_root: str | Path | None = None) -> LoadedDataset:
        from cl_strategies.benchmarks.core.samples import FileSamples

        names, train, test = read_food101(self.locate(data_root))
        return LoadedDataset(FileSamples(*train), FileSamples(*test), tuple(names))


def read_food101(folder: Path) -> tuple[list[str], FilesAndLabels, FilesAndLabels]:
    """Return class names, then training and test files with labels.

    Classes stand in the order of ``meta/classes.txt``; files in the order of ``meta/train.txt``
    and ``meta/test.txt``, whose lines are such as ``apple_pie/1005649``.

    :raises DataMissingError: for a line that names no class, or a class without images.
    """
    names = lines_in(folder / "meta" / "classes.txt")
    for name in names:
        check_name(folder / "meta" / "classes.txt", name)
    return names, _listed(folder, "train", names), _listed(folder, "test", names)


def _listed(folder: Path, part: str, names: Sequence[str]) -> FilesAndLabels:
    index = {name: label for label, name in enumerate(names)}
    path = folder / "meta" / f"{part}.txt"
    files, labels = [], []
    for line in lines_in(path):
        name, _, file = line.partition("/")
        check_name(path, file)
        if name not in index:
            broken(path, f"the line {line[:200]!r} names no class")
        files.append(os.path.join(folder, "images", f"{line}.jpg"))
        labels.append(index[name])
    check_complete(path, labels, names)
    return files, np.asarray(labels, dtype=np.int64)
