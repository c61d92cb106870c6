"""Folders that are files, may not be read or have odd names: named, with what to do."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cl_strategies.benchmarks.damage import broken
from cl_strategies.benchmarks.domain_readers import read_imageclef, read_office31
from cl_strategies.benchmarks.folder_readers import read_food101, read_image_folders
from cl_strategies.benchmarks.glyph_readers import omniglot_characters, read_notmnist
from cl_strategies.benchmarks.readers import read_tiny_imagenet
from cl_strategies.errors import DataMissingError


def read_imagenet(folder: Path) -> Any:
    return read_image_folders(folder, 1000)


FOLDERS: list[tuple[Callable[[Path], Any], str, str]] = [
    (read_office31, "office31", "amazon/images"),
    (read_office31, "office31", "dslr/images/thing_07"),
    (read_imageclef, "image_CLEF", "b"),
    (read_imagenet, "imagenet", "train"),
    (read_imagenet, "imagenet", "val"),
    (read_notmnist, "notMNIST_small", "C"),
    (omniglot_characters, "omniglot-py", "images_evaluation"),
    (read_tiny_imagenet, "tiny-imagenet-200", "train"),
]


def refuse(monkeypatch: pytest.MonkeyPatch, name: str, call: str) -> None:
    """As if the user had no right to ``name`` (a test may be run by one who has every right)."""
    allowed = getattr(os, call)

    def checked(path: Any, *arguments: Any, **options: Any) -> Any:
        if os.fspath(path).endswith(name):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return allowed(path, *arguments, **options)

    monkeypatch.setattr(os, call, checked)


@pytest.mark.parametrize(("read", "name", "inside"), FOLDERS)
def test_a_file_where_a_folder_should_be_is_named(
    read: Callable[[Path], Any], name: str, inside: str, data_root: str, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(Path(data_root) / name, tmp_path / name, copy_function=os.link))
    shutil.rmtree(folder / inside)
    (folder / inside).write_bytes(b"")
    with pytest.raises(DataMissingError, match=f"({inside}.*Not a directory|30 folders, expected)"):
        read(folder)


@pytest.mark.parametrize(("read", "name", "inside"), FOLDERS)
def test_a_folder_that_may_not_be_read_is_named(
    read: Callable[[Path], Any],
    name: str,
    inside: str,
    data_root: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if name == "tiny-imagenet-200":
        names = (Path(data_root) / name / "wnids.txt").read_text().split()
        inside = f"train/{names[3]}/images"
    if name == "imagenet" and inside == "val":
        inside = f"val/{min(os.listdir(Path(data_root) / name / 'val'))}"
    refuse(monkeypatch, f"{name}/{inside}", "scandir")
    with pytest.raises(
        DataMissingError, match=f"{inside} cannot be read .Permission denied.: give"
    ):
        read(Path(data_root) / name)


@pytest.mark.parametrize(
    ("read", "name", "file"),
    [
        (read_food101, "food-101", "meta/train.txt"),
        (read_imageclef, "image_CLEF", "iList.txt"),
        (read_tiny_imagenet, "tiny-imagenet-200", "wnids.txt"),
    ],
)
def test_a_list_that_may_not_be_read_is_not_called_corrupt(
    read: Callable[[Path], Any],
    name: str,
    file: str,
    data_root: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refuse(monkeypatch, file, "open")
    with pytest.raises(DataMissingError, match=f"{file} cannot be read .*Permission denied.*right"):
        read(Path(data_root) / name)


@pytest.mark.parametrize("number", ["9" * 5000, "0" * 5000, "12", "-1", "1.0", "\u0663", "\u00b2"])
def test_a_class_that_is_no_number_of_a_class_is_named(
    number: str, data_root: str, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(Path(data_root) / "image_CLEF", tmp_path / "image_CLEF"))
    path = folder / "iList.txt"
    path.write_text(path.read_text() + f"i/{path.read_text().split()[0][2:]} {number}\n")
    with pytest.raises(DataMissingError, match=r"iList\.txt .*names no image of i") as error:
        read_imageclef(folder)
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize("name", ["n" * 300, "n" * 5000])
def test_a_name_that_no_file_can_have_is_named(name: str, data_root: str, tmp_path: Path) -> None:
    original = Path(data_root) / "tiny-imagenet-200"
    folder = Path(shutil.copytree(original, tmp_path / "tiny", copy_function=os.link))
    names = (folder / "wnids.txt").read_text()
    (folder / "wnids.txt").unlink()
    (folder / "wnids.txt").write_text(f"{names}{name}\n")
    with pytest.raises(DataMissingError, match="nnn/images.*File name too long"):
        read_tiny_imagenet(folder)


def test_what_to_do_depends_on_what_is_wrong() -> None:
    path = Path("data")
    for cause, advice in (
        (None, "delete it and fetch it again"),
        (ValueError(), "delete it and fetch it again"),
        (PermissionError(), "the right to read it"),
        (FileNotFoundError(), "incomplete; fetch and unpack it again"),
        (NotADirectoryError(), "incomplete; fetch and unpack it again"),
    ):
        with pytest.raises(DataMissingError, match=f"data .*why.*{advice}"):
            broken(path, "why", cause)
