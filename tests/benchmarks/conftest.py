"""Small data sets in the real on-disk formats, so that every loader runs without a network."""

from __future__ import annotations

import gzip
import hashlib
import os
import pickle
import random
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat

import cl_strategies  # noqa: F401  repairs torchvision before anything imports it

WNIDS = 200


def write_idx(path: Path, array: np.ndarray) -> None:
    header = struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    raw = header + array.astype(np.uint8).tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)


def write_mnist_like(folder: Path, *, seed: int, ending: str = "", per_class: int = 8) -> None:
    generator = np.random.RandomState(seed)
    for prefix, count in (("train", per_class), ("t10k", 3)):
        labels = generator.permutation(np.repeat(np.arange(10), count))
        images = generator.randint(0, 256, (len(labels), 28, 28))
        write_idx(folder / f"{prefix}-images-idx3-ubyte{ending}", images)
        write_idx(folder / f"{prefix}-labels-idx1-ubyte{ending}", labels)


class Python2Pickler(pickle._Pickler):
    """Writes what Python 2 wrote: byte strings, and numpy under its old module name."""

    dispatch: ClassVar[dict[type, Any]] = dict(pickle._Pickler.dispatch)

    def save_string(self, text: Any) -> None:
        raw = text.encode("latin1") if isinstance(text, str) else text
        self.write(pickle.BINSTRING + struct.pack("<i", len(raw)) + raw)
        self.memoize(text)

    def save_global(self, obj: Any, name: str | None = None) -> None:
        module = "numpy.core.multiarray" if obj.__name__ == "_reconstruct" else obj.__module__
        self.write(f"c{module}\n{obj.__name__}\n".encode())
        self.memoize(obj)

    dispatch[bytes] = save_string
    dispatch[str] = save_string
    dispatch[type] = save_global
    dispatch[type(write_idx)] = save_global
    dispatch[type(len)] = save_global


def write_python2_pickle(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        Python2Pickler(file, 2).dump(value)


def write_cifar(root: Path, *, seed: int = 5) -> None:
    generator = np.random.RandomState(seed)

    def batch(labels: np.ndarray, key: str) -> dict[str, Any]:
        images = generator.randint(0, 256, (len(labels), 3072)).astype(np.uint8)
        return {"data": images, key: generator.permutation(labels).tolist()}

    ten = root / "cifar-10-batches-py"
    for number in range(1, 6):
        labels = np.repeat(np.arange(10), 1 + number % 2)
        write_python2_pickle(ten / f"data_batch_{number}", batch(labels, "labels"))
    write_python2_pickle(ten / "test_batch", batch(np.arange(10), "labels"))
    write_python2_pickle(ten / "batches.meta", {"label_names": [f"ten{i}" for i in range(10)]})
    hundred = root / "cifar-100-python"
    write_python2_pickle(hundred / "train", batch(np.repeat(np.arange(100), 3), "fine_labels"))
    write_python2_pickle(hundred / "test", batch(np.arange(100), "fine_labels"))
    names = [f"hundred{i}" for i in range(100)]
    write_python2_pickle(hundred / "meta", {"fine_label_names": names})


def write_tiny_imagenet(root: Path, *, seed: int = 6) -> None:
    generator = np.random.RandomState(seed)
    folder = root / "tiny-imagenet-200"
    names = [f"n{number:08d}" for number in generator.permutation(WNIDS)]
    (folder / "val" / "images").mkdir(parents=True)
    (folder / "wnids.txt").write_text("\n".join(names) + "\n")

    def image(path: Path) -> None:
        pixels = generator.randint(0, 256, (64, 64, 3)).astype(np.uint8)
        Image.fromarray(pixels if generator.rand() < 0.9 else pixels[..., 0]).save(path, "JPEG")

    lines = []
    for index, name in enumerate(names):
        images = folder / "train" / name / "images"
        images.mkdir(parents=True)
        for number in (1, 0):  # written in another order than they sort
            image(images / f"{name}_{number}.JPEG")
        image(folder / "val" / "images" / f"val_{index}.JPEG")
        lines.append(f"val_{index}.JPEG\t{name}\t0\t0\t63\t63\n")
    (folder / "val" / "val_annotations.txt").write_text("".join(reversed(lines)))


def write_svhn(root: Path, *, seed: int = 7) -> None:
    generator = np.random.RandomState(seed)
    for part, count in (("train", 6), ("test", 2)):
        labels = generator.permutation(np.repeat(np.arange(1, 11), count)).astype(np.uint8)
        images = generator.randint(0, 256, (32, 32, 3, len(labels))).astype(np.uint8)
        savemat(root / f"{part}_32x32.mat", {"X": images, "y": labels.reshape(-1, 1)})


def write_notmnist(root: Path, *, seed: int = 8) -> None:
    generator = np.random.RandomState(seed)
    for letter in "ABCDEFGHIJ":
        folder = root / "notMNIST_small" / letter
        folder.mkdir(parents=True)
        for number in generator.permutation(10):
            pixels = generator.randint(0, 256, (28, 28)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"Rm9udF{number}.png")
    # Empty, as published.
    (root / "notMNIST_small/A/RGVtb2NyYXRpY2FCb2xkT2xkc3R5bGUgQm9sZC50dGY=.png").touch()
    (root / "notMNIST_small/F/Q3Jvc3NvdmVyIEJvbGRPYmxpcXVlLnR0Zg==.png").touch()


def write_omniglot(root: Path, *, seed: int = 9, characters: int = 1210) -> None:
    """1,210 characters with four drawings each; most files are links to others."""
    generator = np.random.RandomState(seed)
    originals = root / "omniglot-originals"
    originals.mkdir(parents=True)
    for number in range(8):
        pixels = generator.rand(105, 105) < 0.9
        Image.fromarray(pixels).save(originals / f"{number}.png")
    for index in range(characters):
        part = "images_background" if index < 964 else "images_evaluation"
        alphabet, character = divmod(index, 50)
        folder = root / "omniglot-py" / part / f"Alphabet_{alphabet:02}"
        folder /= f"character{character + 1:02}"
        folder.mkdir(parents=True)
        for drawing in range(1, 5):
            original = originals / f"{generator.randint(8)}.png"
            os.link(original, folder / f"{index:04}_{drawing:02}.png")


def write_mnist_5k(root: Path, *, seed: int = 10, per_class: int = 10) -> None:
    generator = np.random.RandomState(seed)
    labels = np.repeat(np.arange(10), per_class)
    pixels = generator.randint(0, 256, (len(labels), 784))
    lines = (",".join(map(str, [*row, label])) for row, label in zip(pixels, labels, strict=True))
    (root / "mnist-5k").mkdir()
    (root / "mnist-5k" / "mnist_5k.csv.gz").write_bytes(gzip.compress("\n".join(lines).encode()))


def _photographs(folder: Path, seed: int) -> list[Path]:
    """A few JPEG files of different sizes, one of them grey."""
    generator = np.random.RandomState(seed)
    folder.mkdir()
    paths = []
    for index, (height, width) in enumerate([(30, 20), (17, 41), (24, 24), (60, 50)]):
        pixels = generator.randint(0, 256, (height, width, 3)).astype(np.uint8)
        paths.append(folder / f"{index}.jpg")
        Image.fromarray(pixels if index else pixels[..., 0]).save(paths[-1], "JPEG")
    return paths


def write_food_101(root: Path, *, seed: int = 11) -> None:
    """101 classes with four training images and two for testing; the files are links."""
    originals = _photographs(root / "food-originals", seed)
    folder = root / "food-101"
    (folder / "meta").mkdir(parents=True)
    names = [f"dish_{number:03}" for number in range(101)]
    lines: dict[str, list[str]] = {"train": [], "test": []}
    for index, name in enumerate(names):
        (folder / "images" / name).mkdir(parents=True)
        for number in range(6):
            identity = f"{1000 * index + 37 * number % 1000}"
            os.link(originals[(index + number) % 4], folder / "images" / name / f"{identity}.jpg")
            lines["train" if number < 4 else "test"].append(f"{name}/{identity}")
    (folder / "meta" / "classes.txt").write_text("\n".join(names) + "\n")
    for part, entries in lines.items():
        (folder / "meta" / f"{part}.txt").write_text("\n".join(entries) + "\n")


def write_imagenet(root: Path, *, seed: int = 12, n_classes: int = 1000) -> None:
    """A folder per class with two training images and one for validation; the files are links."""
    originals = _photographs(root / "imagenet-originals", seed)
    numbers = np.random.RandomState(seed).choice(10**7, n_classes, replace=False)
    for index, number in enumerate(numbers.tolist()):
        name = f"n{number:08d}"
        for part, files in (("train", (f"{name}_9", f"{name}_10")), ("val", (f"ILSVRC_{index}",))):
            folder = root / "imagenet" / part / name
            folder.mkdir(parents=True)
            for file in files:
                os.link(originals[(index + len(file)) % 4], folder / f"{file}.JPEG")


def write_office31(root: Path, *, seed: int = 13) -> None:
    """31 classes with three to five images in each domain; the files are links."""
    originals = _photographs(root / "office-originals", seed)
    for shift, domain in enumerate(("amazon", "dslr", "webcam")):
        for number in range(31):
            folder = root / "office31" / domain / "images" / f"thing_{number:02}"
            folder.mkdir(parents=True)
            for frame in range(3 + (number + shift) % 3):
                original = originals[(number + frame + shift) % 4]
                os.link(original, folder / f"frame_{frame + 1:04}.jpg")


def write_imageclef(root: Path, *, seed: int = 14) -> None:
    """Five images of each of twelve classes in each domain, and the lists of their classes."""
    originals = _photographs(root / "clef-originals", seed)
    generator = np.random.RandomState(seed)
    for shift, domain in enumerate("bcip"):
        (root / "image_CLEF" / domain).mkdir(parents=True)
        lines = []
        for index in generator.permutation(60):
            name = f"n{index % 12:02}_{index:03}.JPEG"
            os.link(originals[(index + shift) % 4], root / "image_CLEF" / domain / name)
            lines.append(f"{'/elsewhere/' if domain == 'p' else ''}{domain}/{name} {index % 12}")
        where = root / "image_CLEF" / ("list" if domain in "bc" else ".")
        where.mkdir(exist_ok=True)
        (where / f"{domain}List.txt").write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="session")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder that holds a small version of every data set."""
    root = tmp_path_factory.mktemp("data")
    write_mnist_like(root / "MNIST" / "raw", seed=3)
    write_mnist_like(root / "fashion-mnist", seed=4, ending=".gz")
    write_cifar(root)
    write_tiny_imagenet(root)
    write_svhn(root)
    write_notmnist(root)
    write_omniglot(root)
    write_mnist_5k(root)
    write_food_101(root)
    write_imagenet(root)
    write_office31(root)
    write_imageclef(root)
    return str(root)


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without data sets, whose home folder is returned."""
    from cl_strategies.benchmarks.datasets.data_folders import ENVIRONMENT_VARIABLE
    from cl_strategies.benchmarks.datasets.registry import DATASETS

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv(ENVIRONMENT_VARIABLE, raising=False)
    monkeypatch.delitem(sys.modules, "avalanche.benchmarks.datasets.dataset_utils", raising=False)
    system = str(tmp_path / "system" / "fashion-mnist")
    monkeypatch.setattr(DATASETS["fashion-mnist"], "system", (system,))
    return tmp_path


@pytest.fixture
def write_fashion() -> Callable[[Path], None]:
    return lambda folder: write_mnist_like(folder, seed=9, ending=".gz", per_class=2)


@pytest.fixture
def digest() -> Callable[[Any], str]:
    """A hash of everything that makes a stream: evaluated samples, labels and sample ids."""

    def of(benchmark: Any) -> str:
        state = hashlib.sha256()
        for stream in (benchmark.train_stream, benchmark.test_stream):
            for experience in stream:
                data = experience.dataset.eval()
                for x, y, label in (data[index] for index in range(len(data))):
                    state.update(x.numpy().tobytes() + struct.pack("<2q", int(y), int(label)))
                state.update(np.asarray(list(data.sample_ids), dtype="<i8").tobytes())
        return state.hexdigest()

    return of


@pytest.fixture
def global_rngs() -> Callable[[], tuple[Any, ...]]:
    """The states of the global random generators."""
    return lambda: (
        random.getstate(),
        np.random.get_state()[1].tobytes(),
        np.random.get_state()[2:],
        bytes(torch.get_rng_state().tolist()),
    )


@pytest.fixture
def refuse_network(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """No connection succeeds; calling the fixture tells how many were tried."""
    tried: list[Any] = []

    def refuse(*arguments: Any, **_: Any) -> None:
        tried.append(arguments)
        raise OSError("no network in tests")

    monkeypatch.setattr("socket.create_connection", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    for proxy in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    return lambda: len(tried)
