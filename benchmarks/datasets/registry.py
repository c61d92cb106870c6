"""The data sets by name.

Nothing is ever downloaded unless :func:`cl_strategies.benchmarks.download` is called. Each data set
is looked for in its published layout, in this order: the folder given as ``data_root``; the folder
that the environment variable ``CL_STRATEGIES_DATA`` names; the folder of a system package;
Avalanche's data folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cl_strategies.benchmarks.datasets.cifar import Cifar10, Cifar100
from cl_strategies.benchmarks.datasets.digits import Digits
from cl_strategies.benchmarks.datasets.domains import ImageClef, Office31
from cl_strategies.benchmarks.datasets.food101 import Food101
from cl_strategies.benchmarks.datasets.glyphs import NotMnist, Omniglot
from cl_strategies.benchmarks.datasets.imagenet import ImageNet, ImageNet100
from cl_strategies.benchmarks.datasets.mnist import FashionMnist, Mnist, Mnist5k
from cl_strategies.benchmarks.datasets.published import (
    DatasetStatus,
    LoadedDataset,
    PublishedDataset,
)
from cl_strategies.benchmarks.datasets.svhn import Svhn
from cl_strategies.benchmarks.datasets.tiny_imagenet import TinyImageNet
from cl_strategies.errors import UserError, unknown_name

DATASETS: dict[str, PublishedDataset[Any]] = {
    dataset.name: dataset
    for dataset in (
        Digits(),
        Mnist5k(),
        FashionMnist(),
        Mnist(),
        Cifar10(),
        Cifar100(),
        TinyImageNet(),
        Food101(),
        ImageNet(),
        ImageNet100(),
        Svhn(),
        NotMnist(),
        Omniglot(),
        Office31(),
        ImageClef(),
    )
}


def check_dataset(name: str, data_root: str | Path | None = None) -> DatasetStatus:
    """Say whether a data set is on this machine.

    :param name: a key of :data:`DATASETS`.
    :param data_root: folder to look in first.
    :raises UserError: for an unknown name, or if ``data_root`` or the folder that the environment
        variable names is not a folder, or cannot be looked into.
    """
    return _named(name).status(data_root)


def check_datasets(data_root: str | Path | None = None) -> list[DatasetStatus]:
    """Say of every data set whether it is on this machine.

    :param data_root: folder to look in first.
    """
    return [dataset.status(data_root) for dataset in DATASETS.values()]


def download(name: str, data_root: str | Path | None = None) -> Path:
    """Download a data set from where its authors or torchvision publish it, unless it is there.

    :param name: a key of :data:`DATASETS`.
    :param data_root: folder to put it in; ``None``: the folder that ``CL_STRATEGIES_DATA`` names,
        or else Avalanche's data folder.
    :returns: the folder that holds its files.
    :raises UserError: if it cannot be downloaded, with what to do instead.
    """
    return _named(name).download(data_root)


def load_dataset(name: str, data_root: str | Path | None = None) -> LoadedDataset:
    """Load a data set that is divided into training and test samples.

    Grey images become float32 tensors ``(N, 1, H, W)`` in ``[0, 1]``; color images stay uint8.

    :param name: a key of :data:`DATASETS`.
    :param data_root: folder to look in first.
    :raises DataMissingError: if it is not on this machine, or a file of it is damaged.
    :raises UserError: for a data set that is not divided.
    """
    dataset = _named(name)
    if dataset.stream:
        raise UserError(f"{name} has no fixed split: use the stream {dataset.stream}")
    return dataset.load(data_root)


def _named(name: str) -> PublishedDataset[Any]:
    if name not in DATASETS:
        raise unknown_name("data set", name, DATASETS)
    return DATASETS[name]
