"""Data sets by name, as samples to cut streams from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cl_strategies.benchmarks import folder_readers, glyph_readers, readers
from cl_strategies.benchmarks.choices import train_test_rows
from cl_strategies.benchmarks.datasets import check_dataset, locate
from cl_strategies.benchmarks.samples import FileSamples, ImageSamples, Samples, TensorSamples
from cl_strategies.errors import UserError

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

#: Data sets that are cut into streams from their files.
_STREAM_OF = {"omniglot": "omniglot-rotation", "office-31": "office-31", "imageclef": "imageclef"}


@dataclass(frozen=True)
class LoadedDataset:
    """A data set on this machine.

    :param train: training samples.
    :param test: test samples; of Tiny ImageNet, whose test labels are secret, its validation part;
        of data sets that come without a split, a fixed share of each class.
    :param class_names: one name per class id.
    """

    train: Samples
    test: Samples
    class_names: tuple[str, ...]


def load_dataset(name: str, data_root: str | Path | None = None) -> LoadedDataset:
    """Load a data set.

    Grey images become float32 tensors ``(N, 1, H, W)`` in ``[0, 1]``; colour images stay uint8.

    :param name: a key of :data:`cl_strategies.benchmarks.sources.SOURCES`.
    :param data_root: folder to look in first.
    :raises DataMissingError: if it is not on this machine.
    :raises UserError: if a file is broken, or for a data set that is cut into streams from files.
    """
    if name in _STREAM_OF:
        raise UserError(f"{name} has no fixed split: use the stream {_STREAM_OF[name]}")
    if name == "digits":
        return _digits()
    if name in ("imagenet", "imagenet-100"):
        return _imagenet(name, data_root)
    folder = locate(name, data_root)
    if name == "food-101":
        dishes, learn, check = folder_readers.read_food101(folder)
        return LoadedDataset(FileSamples(*learn), FileSamples(*check), tuple(dishes))
    if name == "mnist-5k":
        table = glyph_readers.read_image_table(folder / "mnist_5k.csv.gz")
        return _parted(_scaled(table[0]), table[1], 0.2, "0123456789")
    if name == "notmnist":
        images, labels = glyph_readers.read_notmnist(folder)
        return _parted(_scaled(images), labels, 0.1, glyph_readers.LETTERS)
    if name == "svhn":
        sides = [
            ImageSamples(*glyph_readers.read_svhn(folder / f"{side}_32x32.mat"))
            for side in ("train", "test")
        ]
        return LoadedDataset(sides[0], sides[1], tuple("0123456789"))
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
    return _parted(x, labels.astype(np.int64), 0.2, "0123456789")


def _parted(x: Tensor, labels: np.ndarray, share: float, names: Sequence[str]) -> LoadedDataset:
    """``share`` of each class for testing, of a data set that comes without a split."""
    train, test = train_test_rows(labels, share)
    return LoadedDataset(
        TensorSamples(x[train], labels[train]), TensorSamples(x[test], labels[test]), tuple(names)
    )


def _scaled(images: np.ndarray) -> Tensor:
    """Grey images ``(N, H, W)`` of bytes as float32 ``(N, 1, H, W)`` in ``[0, 1]``."""
    return torch.from_numpy(images.astype(np.float32)).unsqueeze(1).div_(255)


def _imagenet(name: str, data_root: str | Path | None) -> LoadedDataset:
    """ImageNet, or a hundred classes: from a folder of their own, or out of ImageNet's."""
    size, chosen = (1000, None) if name == "imagenet" else (100, None)
    absent = not check_dataset(name, data_root).present
    if absent and check_dataset("imagenet", data_root).present:
        name, size, chosen = "imagenet", 1000, imagenet_subset(100)
    names, train, test = folder_readers.read_image_folders(locate(name, data_root), size, chosen)
    return LoadedDataset(FileSamples(*train), FileSamples(*test), tuple(names))


def imagenet_subset(n_classes: int) -> list[int]:
    """Which of ImageNet's sorted classes LUCIR's script draws, and later papers with it."""
    return np.random.RandomState(1993).permutation(1000)[:n_classes].tolist()


def _grey(folder: Path, prefix: str) -> TensorSamples:
    images, labels = readers.read_idx_pair(folder, prefix)
    return TensorSamples(_scaled(images), labels)


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
