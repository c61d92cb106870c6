"""The files of data sets that have one folder per class."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cl_strategies.benchmarks.readers.folders import files_in
from cl_strategies.errors import DataMissingError

#: Files with their labels ``(N,)``.
FilesAndLabels = tuple[list[str], np.ndarray]


def files_of_classes(folder: Path, names: Sequence[str]) -> FilesAndLabels:
    """List the files of every class, which has a folder of its own in ``folder``.

    :param folder: holds one folder per class.
    :param names: names of these folders, by class id.
    :raises DataMissingError: for a class without files.
    """
    files: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(names):
        found = [os.path.join(folder, name, file) for file in files_in(folder / name)]
        files += found
        labels += [label] * len(found)
    check_complete(folder, labels, names)
    return files, np.asarray(labels, dtype=np.int64)


def check_complete(where: Path, labels: Sequence[int], names: Sequence[str]) -> None:
    """:raises DataMissingError: unless every class is among ``labels``."""
    missing = sorted(set(range(len(names))) - set(labels))
    if missing:
        raise DataMissingError(
            f"{where} has no image of {len(missing)} classes (the first is {names[missing[0]]}): "
            "fetch it again"
        )
