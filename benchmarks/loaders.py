"""Data sets by name, as samples to cut streams from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from cl_strategies.benchmarks import readers
from cl_strategies.benchmarks.choices import train_test_rows
from cl_strategies.benchmarks.datasets import locate
from cl_strategies.benchmarks.samples import FileSamples, ImageSamples, Samples, TensorSamples

_FASHION = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


@dataclass(frozen=True)
class LoadedDataset:
    """A data set on this machine.

    :param train: training samples.
    :param test: test samples; of Tiny ImageNet, whose test labels are secret, its validation part.
    :param class_names: one name per class id.
    """

    train: Samples
    test: Samples
    class_names: tuple[str, ...]


def load_dataset(name: str, data_root: str | Path | None = None) -> LoadedDataset:
    """Load a data set.

    Grey images become float32 tensors ``(N, 1, H, W)`` in ``[0, 1]``; colour images stay uint8.

    :param name: a key of :data:`cl_strategies.benchmarks.datasets.SOURCES`.
    :param data_root: folder to look in first.
    :raises DataMissingError: if it is not on this machine.
    :raises UserError: if a file is broken.
    """
    if name == "digits":
        return _digits()
    folder = locate(name, data_root)
    if name == "tiny-imagenet":
        names, train, test = readers.read_tiny_imagenet(folder)
        return LoadedDataset(FileSamples(*train), FileSamples(*test), tuple(names))
    if name == "cifar10":
        batches = [f"data_batch_{number}" for number in range(1, 6)]
        return _cifar(folder, batches, "test_batch", "batches.meta", "")
    if name == "cifar100":
        return _cifar(folder, ["train"], "test", "meta", "fine_")
    names = list(_FASHION) if name == "fashion-mnist" else list("0123456789")
    return LoadedDataset(_grey(folder, "train"), _grey(folder, "t10k"), tuple(names))


def _digits() -> LoadedDataset:
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    x = torch.from_numpy(images.astype(np.float32)).reshape(-1, 1, 8, 8) / 16
    labels = labels.astype(np.int64)
    train, test = train_test_rows(labels, 0.2)
    return LoadedDataset(
        TensorSamples(x[train], labels[train]),
        TensorSamples(x[test], labels[test]),
        tuple("0123456789"),
    )


def _grey(folder: Path, prefix: str) -> TensorSamples:
    images, labels = readers.read_idx_pair(folder, prefix)
    return TensorSamples(torch.from_numpy(images.copy()).unsqueeze(1).float() / 255, labels)


def _cifar(
    folder: Path, train_files: list[str], test_file: str, meta_file: str, prefix: str
) -> LoadedDataset:
    names = readers.read_cifar_names(folder / meta_file, f"{prefix}label_names")
    batches = [
        readers.read_cifar_batch(folder / file, f"{prefix}labels", len(names))
        for file in [*train_files, test_file]
    ]
    train = ImageSamples(
        np.concatenate([images for images, _ in batches[:-1]]),
        np.concatenate([labels for _, labels in batches[:-1]]),
    )
    return LoadedDataset(train, ImageSamples(*batches[-1]), tuple(names))
