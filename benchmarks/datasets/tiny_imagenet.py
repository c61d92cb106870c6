"""Tiny ImageNet: 200 classes of ImageNet on color images of 64x64 pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cl_strategies.benchmarks.datasets.published import LoadedDataset, PublishedDataset
from cl_strategies.benchmarks.readers.errors import broken, check_name
from cl_strategies.benchmarks.readers.folders import lines_in, names_in

#: More classes than the 200 that it has.
_MAX_CLASSES = 2**10
#: More lines than the 10,000 that its annotations have.
_MAX_ANNOTATIONS = 2**14


class TinyImageNet(PublishedDataset[LoadedDataset]):
    """100,000 training images; the 10,000 validation images are the test samples."""

    name = "tiny-imagenet"
    title = "Tiny ImageNet"
    avalanche_folder = "tinyimagenet"
    layout = "tiny-imagenet-200"
    files = ("wnids.txt", "train", "val/val_annotations.txt", "val/images")

    def fetch(self, root: Path) -> None:
        from avalanche.benchmarks.datasets import TinyImagenet
        from torchvision.datasets.utils import download_and_extract_archive

        download_and_extract_archive(TinyImagenet.filename[1], str(root), md5=TinyImagenet.md5)

    def load(self, data_root: str | Path | None = None) -> LoadedDataset:
        from cl_strategies.benchmarks.core.samples import FileSamples

        names, train, test = read_tiny_imagenet(self.locate(data_root))
        return LoadedDataset(FileSamples(*train), FileSamples(*test), tuple(names))


def read_tiny_imagenet(
    folder: Path,
) -> tuple[list[str], tuple[list[Path], np.ndarray], tuple[list[Path], np.ndarray]]:
    """WordNet ids by class, then training and validation files with labels ``(N,)``.

    Classes stand in the order of ``wnids.txt``, files sorted by name, so that the result does not
    depend on the file system.
    """
    names = lines_in(folder / "wnids.txt", _MAX_CLASSES)
    if not names or len(set(names)) != len(names):
        broken(folder / "wnids.txt", "it does not hold one id per line, each once")
    for name in names:
        check_name(folder / "wnids.txt", name)
    annotations = folder / "val" / "val_annotations.txt"
    validation: dict[str, list[Path]] = {name: [] for name in names}
    for line in lines_in(annotations, _MAX_ANNOTATIONS):
        row = line.split("\t")
        if len(row) < 2 or row[1] not in validation:
            broken(annotations, f"the line {row} names no class of wnids.txt")
        check_name(annotations, row[0])
        validation[row[1]].append(folder / "val" / "images" / row[0])
    training = {name: _photographs(folder / "train" / name / "images") for name in names}
    for name in names:
        if not training[name] or not validation[name]:
            broken(folder, f"the class {name} has no images in train or in val")
    return names, _flatten(training), _flatten(validation)


def _photographs(folder: Path) -> list[Path]:
    return [folder / name for name in names_in(folder, ".JPEG")]


def _flatten(by_class: dict[str, list[Path]]) -> tuple[list[Path], np.ndarray]:
    paths = [path for files in by_class.values() for path in sorted(files)]
    sizes = [len(files) for files in by_class.values()]
    return paths, np.repeat(np.arange(len(sizes)), sizes)
