"""Readers of data sets that are published as folders of photographs: Food-101 and ImageNet."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cl_strategies.benchmarks.damage import broken, check_name
from cl_strategies.benchmarks.listing import files_in, folders_in, lines_in
from cl_strategies.errors import DataMissingError

#: Files with their labels ``(N,)``.
Labelled = tuple[list[str], np.ndarray]


def read_food101(folder: Path) -> tuple[list[str], Labelled, Labelled]:
    """Class names, then training and test files with labels.

    Classes stand in the order of ``meta/classes.txt``; files in the order of ``meta/train.txt``
    and ``meta/test.txt``, whose lines are such as ``apple_pie/1005649``.

    :raises DataMissingError: for a line that names no class, or a class without images.
    """
    names = lines_in(folder / "meta" / "classes.txt")
    for name in names:
        check_name(folder / "meta" / "classes.txt", name)
    return names, _listed(folder, "train", names), _listed(folder, "test", names)


def read_image_folders(
    folder: Path, n_classes: int, chosen: Sequence[int] | None = None
) -> tuple[list[str], Labelled, Labelled]:
    """Class names, then the files below ``train`` and ``val`` with labels.

    Both have one folder per class; classes and files are sorted by name.

    :param n_classes: how many there must be.
    :param chosen: indices of the classes to take, among the sorted ones.
    :raises DataMissingError: if the classes are others, or one has no images.
    """
    names = folders_in(folder / "train")
    if len(names) != n_classes:
        raise DataMissingError(
            f"{folder / 'train'} has {len(names)} folders, expected one for each of {n_classes} "
            "classes: unpack the data set again"
        )
    if chosen is not None:
        names = sorted(names[index] for index in chosen)
    return names, _in_folders(folder / "train", names), _in_folders(folder / "val", names)


def _listed(folder: Path, part: str, names: Sequence[str]) -> Labelled:
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
    _check_complete(path, labels, names)
    return files, np.asarray(labels, dtype=np.int64)


def _in_folders(folder: Path, names: Sequence[str]) -> Labelled:
    files: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(names):
        found = [os.path.join(folder, name, file) for file in files_in(folder / name)]
        files += found
        labels += [label] * len(found)
    _check_complete(folder, labels, names)
    return files, np.asarray(labels, dtype=np.int64)


def _check_complete(where: Path, labels: Sequence[int], names: Sequence[str]) -> None:
    missing = sorted(set(range(len(names))) - set(labels))
    if missing:
        raise DataMissingError(
            f"{where} has no image of {len(missing)} classes (the first is {names[missing[0]]}): "
            "fetch it again"
        )
