"""ImageNet (ILSVRC 2012), and a hundred of its classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cl_strategies.benchmarks.datasets.published import LoadedDataset, ManualDataset
from cl_strategies.benchmarks.readers.class_folders import FilesAndLabels, files_of_classes
from cl_strategies.benchmarks.readers.folders import folders_in
from cl_strategies.errors import DataMissingError


class ImageNet(ManualDataset[LoadedDataset]):
    """1.28 million training photographs; the 50,000 validation photographs are the test samples.

    :cvar n_classes: number of classes.
    """

    name = "imagenet"
    title = "ImageNet (ILSVRC 2012)"
    avalanche_folder = "imagenet"
    layout = "imagenet"
    files = ("train", "val")
    by_hand = (
        "register at image-net.org, and unpack to a folder per class in train and val, as "
        "torchvision does"
    )
    n_classes = 1000

    def load(self, data_root: str | Path | None = None) -> LoadedDataset:
        return self.load_classes(data_root, None)

    def load_classes(
        self, data_root: str | Path | None, chosen: Sequence[int] | None
    ) -> LoadedDataset:
        """Load some of the classes.

        :param data_root: folder to look in first.
        :param chosen: indices among the sorted classes; ``None``: all.
        :raises DataMissingError: if the data set is not on this machine, or incomplete.
        """
        from cl_strategies.benchmarks.core.samples import FileSamples

        folder = self.locate(data_root)
        names, train, test = read_image_folders(folder, self.n_classes, chosen)
        return LoadedDataset(FileSamples(*train), FileSamples(*test), tuple(names))


class ImageNet100(ImageNet):
    """The hundred classes that LUCIR drew: from a folder of their own, or out of ImageNet's."""

    name = "imagenet-100"
    title = "ImageNet-100"
    avalanche_folder = "imagenet100"
    layout = "imagenet-100"
    by_hand = f"{ImageNet.by_hand}; all of ImageNet will do"
    n_classes = 100

    def load(self, data_root: str | Path | None = None) -> LoadedDataset:
        everything = ImageNet()
        if not self.status(data_root).present and everything.status(data_root).present:
            return everything.load_classes(data_root, lucir_classes(self.n_classes))
        return self.load_classes(data_root, None)


def lucir_classes(n_classes: int) -> list[int]:
    """Draw classes of ImageNet as LUCIR's script does, and later papers with it.

    :returns: indices among the sorted classes.
    """
    return np.random.RandomState(1993).permutation(1000)[:n_classes].tolist()


def read_image_folders(
    folder: Path, n_classes: int, chosen: Sequence[int] | None = None
) -> tuple[list[str], FilesAndLabels, FilesAndLabels]:
    """Return class names, then the files below ``train`` and ``val`` with labels.

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
    return names, files_of_classes(folder / "train", names), files_of_classes(folder / "val", names)
