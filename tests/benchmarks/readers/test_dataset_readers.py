"""Broken files are named; data cannot run code."""

from __future__ import annotations

import contextlib
import gzip
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cl_strategies.benchmarks import load
from cl_strategies.benchmarks.datasets.cifar import read_plain_pickle
from cl_strategies.benchmarks.datasets.tiny_imagenet import read_tiny_imagenet
from cl_strategies.benchmarks.readers.idx import read_idx
from cl_strategies.errors import UserError


@pytest.fixture
def copied(data_root: str, tmp_path: Path) -> Path:
    """A copy of the small data sets of few files, which a test may break."""
    for name in ("MNIST", "fashion-mnist", "cifar-10-batches-py", "cifar-100-python"):
        shutil.copytree(Path(data_root) / name, tmp_path / "copy" / name)
    return tmp_path / "copy"


@pytest.fixture
def tiny(data_root: str, tmp_path: Path) -> Path:
    """A copy of the small Tiny ImageNet."""
    name = "tiny-imagenet-200"
    return Path(shutil.copytree(Path(data_root) / name, tmp_path / name))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


@pytest.mark.parametrize(
    ("stream", "file"),
    [
        ("split-mnist", "MNIST/raw/train-images-idx3-ubyte"),
        ("split-mnist", "MNIST/raw/t10k-labels-idx1-ubyte"),
        ("split-fashion-mnist", "fashion-mnist/train-images-idx3-ubyte.gz"),
        ("split-cifar10", "cifar-10-batches-py/data_batch_3"),
        ("split-cifar10", "cifar-10-batches-py/batches.meta"),
        ("split-cifar100", "cifar-100-python/test"),
    ],
)
def test_a_truncated_file_is_named(stream: str, file: str, copied: Path) -> None:
    truncate(copied / file)
    with pytest.raises(UserError, match="truncated or corrupt") as error:
        load(stream, data_root=str(copied))
    assert str(copied / file) in str(error.value)


@pytest.mark.parametrize(
    "content",
    [b"", b"\0\0", b"\0\0\x0d\x01\0\0\0\1\0", b"\0\0\x08\x03\0\0", b"<html>not found</html>"],
)
def test_what_is_not_an_idx_file_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "train-labels-idx1-ubyte"
    path.write_bytes(content)
    with pytest.raises(UserError, match="train-labels-idx1-ubyte is truncated or corrupt"):
        read_idx(path)


def test_a_compressed_idx_file_is_read_under_its_plain_name(tmp_path: Path) -> None:
    raw = b"\0\0\x08\x02\0\0\0\2\0\0\0\3" + bytes(range(6))
    (tmp_path / "images.gz").write_bytes(gzip.compress(raw))
    assert np.array_equal(read_idx(tmp_path / "images"), np.arange(6).reshape(2, 3))


def test_images_and_labels_must_belong_together(copied: Path) -> None:
    raw = copied / "MNIST" / "raw"
    shutil.copy(raw / "t10k-labels-idx1-ubyte", raw / "train-labels-idx1-ubyte")
    with pytest.raises(UserError, match="do not belong to labels"):
        load("split-mnist", data_root=str(copied))


def test_a_label_out_of_range_is_an_error(copied: Path) -> None:
    path = copied / "MNIST" / "raw" / "train-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes()[:-1] + b"\x0a")
    with pytest.raises(UserError, match="it holds the label 10"):
        load("split-mnist", data_root=str(copied))


class _Attack:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.marker),)


def test_a_pickle_cannot_run_code(tmp_path: Path) -> None:
    marker = tmp_path / "was-here"
    path = tmp_path / "data_batch_1"
    path.write_bytes(pickle.dumps({"data": _Attack(marker)}, protocol=2))
    with pytest.raises(UserError, match="which data must not"):
        read_plain_pickle(path)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ([1, 2], "it holds a list"),
        ({"labels": [0]}, "no array 'data'"),
        ({"data": np.zeros((1, 3072)), "labels": [0]}, "no array 'data'"),
        ({"data": np.zeros((2, 3072), np.uint8), "labels": [0]}, "do not fit"),
        ({"data": np.zeros((1, 3071), np.uint8), "labels": [0]}, "do not fit"),
        ({"data": np.zeros((1, 3072), np.uint8), "labels": [10]}, "not all below 10"),
    ],
)
def test_a_cifar_batch_of_another_shape_is_an_error(entry: Any, message: str, copied: Path) -> None:
    path = copied / "cifar-10-batches-py" / "data_batch_2"
    path.write_bytes(pickle.dumps(entry, protocol=2))
    with pytest.raises(UserError, match=message):
        load("split-cifar10", data_root=str(copied))


def test_tiny_imagenet_does_not_depend_on_the_order_of_the_file_system(
    data_root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(data_root) / "tiny-imagenet-200"
    expected = read_tiny_imagenet(folder)
    scandir = os.scandir

    def backwards(path: Path) -> Any:
        entries = sorted(scandir(path), key=lambda entry: entry.name, reverse=True)
        return contextlib.nullcontext(entries)

    monkeypatch.setattr(os, "scandir", backwards)
    names, training, validation = read_tiny_imagenet(folder)
    assert names == expected[0]
    assert (
        training[0]
        == expected[1][0]
        == sorted(training[0], key=lambda p: (names.index(p.parts[-3]), p.name))
    )
    assert validation[0] == expected[2][0]
    assert training[1].tolist() == sorted(training[1].tolist())


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("wnids.txt", "", "one id per line"),
        ("wnids.txt", "n1\nn1\n", "one id per line"),
        ("val/val_annotations.txt", "val_0.JPEG\tn99999999\t0\t0\t1\t1\n", "names no class"),
        ("val/val_annotations.txt", "", "has no images in train or in val"),
    ],
)
def test_broken_tiny_imagenet_folders_are_named(
    file: str, content: str, message: str, tiny: Path
) -> None:
    path = tiny / file
    path.write_text(content)
    with pytest.raises(UserError, match=message) as error:
        load("split-tiny-imagenet", data_root=str(tiny.parent))
    assert "tiny-imagenet-200" in str(error.value)


def test_a_broken_image_is_named_when_it_is_read(tiny: Path) -> None:
    dataset = load("split-tiny-imagenet", data_root=str(tiny.parent)).train_stream[0].dataset
    name = (tiny / "wnids.txt").read_text().split()[0]
    (tiny / "train" / name / "images" / f"{name}_0.JPEG").write_bytes(b"?")
    with pytest.raises(UserError, match=f"{name}_0.JPEG is not a readable image"):
        dataset[0]
