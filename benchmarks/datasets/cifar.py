"""CIFAR-10 and CIFAR-100, which are published as pickles."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from cl_strategies.benchmarks.datasets.published import LoadedDataset, PublishedDataset
from cl_strategies.benchmarks.readers import plain_pickle
from cl_strategies.benchmarks.readers.errors import broken

#: CIFAR's names of a hundred classes have 1,500 bytes.
_META_BYTES = 2**16


class Cifar10(PublishedDataset[LoadedDataset]):
    """60,000 color photographs of 32x32 pixels, in 10 classes.

    :cvar train_files: files of the training samples.
    :cvar test_file: file of the test samples.
    :cvar meta_file: file with the names of the classes.
    :cvar prefix: what the keys of labels and names begin with.
    """

    name = "cifar10"
    title = "CIFAR-10"
    avalanche_folder = "cifar10"
    layout = "cifar-10-batches-py"
    files = ("batches.meta", *(f"data_batch_{i}" for i in range(1, 6)), "test_batch")
    train_files: ClassVar[tuple[str, ...]] = files[1:-1]
    test_file: ClassVar[str] = "test_batch"
    meta_file: ClassVar[str] = "batches.meta"
    prefix: ClassVar[str] = ""

    def fetch(self, root: Path) -> None:
        from torchvision import datasets
        from torchvision.datasets.utils import download_and_extract_archive

        # Not through torchvision's class, whose constructor unpickles what it has fetched.
        archive = getattr(datasets, self.name.upper())
        download_and_extract_archive(
            archive.url, str(root), filename=archive.filename, md5=archive.tgz_md5
        )

    def load(self, data_root: str | Path | None = None) -> LoadedDataset:
        from cl_strategies.benchmarks.core.samples import ImageSamples

        folder = self.locate(data_root)
        names = read_cifar_names(folder / self.meta_file, f"{self.prefix}label_names")
        *train, test = (
            read_cifar_batch(folder / file, f"{self.prefix}labels", len(names))
            for file in (*self.train_files, self.test_file)
        )
        return LoadedDataset(
            ImageSamples(
                np.concatenate([images for images, _ in train]),
                np.concatenate([labels for _, labels in train]),
            ),
            ImageSamples(*test),
            tuple(names),
        )


class Cifar100(Cifar10):
    """60,000 color photographs of 32x32 pixels, in 100 classes."""

    name = "cifar100"
    title = "CIFAR-100"
    avalanche_folder = "cifar100"
    layout = "cifar-100-python"
    files = ("meta", "train", "test")
    train_files = ("train",)
    test_file = "test"
    meta_file = "meta"
    prefix = "fine_"


def read_cifar_batch(path: Path, label_key: str, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return images ``(N, 32, 32, 3)`` uint8 and labels ``(N,)`` int64 of one of CIFAR's batches.

    :param label_key: ``"labels"`` (CIFAR-10) or ``"fine_labels"`` (CIFAR-100).
    :param n_classes: labels must be below it.
    """
    entry = read_plain_pickle(path)
    images, labels = entry.get("data"), entry.get(label_key)
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.ndim != 2:
        broken(path, "it has no array 'data' of unsigned bytes")
    if images.shape[1] != 3072 or not isinstance(labels, list) or len(labels) != len(images):
        broken(path, f"its {images.shape} images do not fit its {label_key}")
    if not all(type(label) is int and 0 <= label < n_classes for label in labels):
        broken(path, f"its {label_key} are not all below {n_classes}")
    images = np.ascontiguousarray(images.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    return images, np.asarray(labels, dtype=np.int64)


def read_cifar_names(path: Path, key: str) -> list[str]:
    """Return the class names in CIFAR's ``batches.meta`` or ``meta``."""
    names = read_plain_pickle(path, _META_BYTES).get(key)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        broken(path, f"it has no list {key!r}")
    return names


def read_plain_pickle(path: Path, limit: int = plain_pickle.MAX_BYTES) -> dict[str, Any]:
    """Read a pickled dictionary of plain data and arrays; no other type is ever created."""
    try:
        entry = plain_pickle.load_plain_pickle(path, limit)
    except Exception as error:  # a broken pickle raises almost anything
        broken(path, str(error) or type(error).__name__, error)
    if not isinstance(entry, dict):
        broken(path, f"it holds a {type(entry).__name__}, not a dictionary")
    return entry
