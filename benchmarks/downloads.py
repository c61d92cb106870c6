"""Data sets from the network, when asked for."""

from __future__ import annotations

import os
from pathlib import Path

from cl_strategies.benchmarks.data_folders import ENVIRONMENT_VARIABLE, avalanche_root
from cl_strategies.benchmarks.datasets import check_dataset, locate
from cl_strategies.benchmarks.sources import SOURCES
from cl_strategies.errors import UserError

_NOTMNIST = (
    "http://yaroslavvb.com/upload/notMNIST/notMNIST_small.tar.gz",
    "c9890a473a9769fda4bdf314aaf500dd",
)


def download(name: str, data_root: str | Path | None = None) -> Path:
    """Fetch a data set from where its authors or torchvision publish it, unless it is there.

    :param data_root: folder to put it in; ``None``: the folder that ``CL_STRATEGIES_DATA`` names,
        or else Avalanche's data folder.
    :returns: the folder that holds its files.
    :raises UserError: if it cannot be fetched, with what to do instead.
    """
    status = check_dataset(name, data_root)
    source = SOURCES[name]
    if status.present or not source.files:
        return Path(status.found_at or ".")
    if source.by_hand:
        raise UserError(f"{source.title} cannot be fetched by a program. By hand: {source.by_hand}")
    if source.package:
        raise UserError(f"{source.title} come with a package: {status.how_to_get}")
    explicit = data_root or os.environ.get(ENVIRONMENT_VARIABLE)
    root = Path(explicit).expanduser() if explicit else avalanche_root() / source.avalanche_folder
    try:
        root.mkdir(parents=True, exist_ok=True)
        _fetch(name, root)
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"{source.title} could not be fetched into {root} ({error}): check the connection, "
            f"or put its files in {root / source.layout} by hand"
        ) from error
    return locate(name, root)


def _fetch(name: str, root: Path) -> None:
    from torchvision import datasets
    from torchvision.datasets.utils import download_and_extract_archive

    if name == "tiny-imagenet":
        from avalanche.benchmarks.datasets import TinyImagenet

        download_and_extract_archive(TinyImagenet.filename[1], str(root), md5=TinyImagenet.md5)
    elif name in ("cifar10", "cifar100"):
        # Not through the data set of torchvision, which unpickles what it has fetched.
        archive = getattr(datasets, name.upper())
        download_and_extract_archive(
            archive.url, str(root), filename=archive.filename, md5=archive.tgz_md5
        )
    elif name == "notmnist":
        download_and_extract_archive(_NOTMNIST[0], str(root), md5=_NOTMNIST[1])
    elif name == "svhn":
        for part in ("train", "test"):
            datasets.SVHN(str(root), split=part, download=True)
    elif name == "omniglot":
        for background in (True, False):
            datasets.Omniglot(str(root), background=background, download=True)
    else:
        kinds = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST", "food-101": "Food101"}
        kind = kinds.get(name, name.upper())
        getattr(datasets, kind)(str(root), download=True)
