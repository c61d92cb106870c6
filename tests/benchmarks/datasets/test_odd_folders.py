"""Folders that are files, may not be read or have odd names: named, with what to do."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cl_strategies.benchmarks import check_dataset
from cl_strategies.benchmarks.datasets.data_folders import ENVIRONMENT_VARIABLE, avalanche_root
from cl_strategies.benchmarks.datasets.domains import read_imageclef, read_office31
from cl_strategies.benchmarks.datasets.food101 import read_food101
from cl_strategies.benchmarks.datasets.glyphs import omniglot_characters, read_notmnist
from cl_strategies.benchmarks.datasets.imagenet import read_image_folders
from cl_strategies.benchmarks.datasets.registry import DATASETS
from cl_strategies.benchmarks.datasets.tiny_imagenet import read_tiny_imagenet
from cl_strategies.benchmarks.readers.errors import broken
from cl_strategies.cli import main
from cl_strategies.errors import DataMissingError, UserError


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


LONG = "a" * 300


@pytest.mark.parametrize("command", [["check"], ["check", "mnist"], ["fetch", "office-31"]])
@pytest.mark.parametrize("variable", [False, True])
@pytest.mark.parametrize(
    ("root", "why"),
    [(LONG, "File name too long"), ("a/" * 3000, "File name too long"), ("~nobody-here/x", "home")],
)
def test_a_root_that_no_folder_can_be_is_named_with_the_reason(
    command: list[str],
    variable: bool,
    root: str,
    why: str,
    nothing_installed: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["datasets", *command]
    if variable:
        monkeypatch.setenv(ENVIRONMENT_VARIABLE, root)
    else:
        arguments += ["--data-root", root]
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert why in said and (ENVIRONMENT_VARIABLE if variable else "data_root") in said


def test_roots_that_are_files_or_no_paths_are_named(
    nothing_installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="data_root .*embedded null"):
        check_dataset("mnist", "a\0b")
    (nothing_installed / "file").write_text("")
    with pytest.raises(UserError, match="cannot be looked into .Not a directory"):
        check_dataset("mnist", nothing_installed / "file" / "inside")
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(nothing_installed / "file"))
    with pytest.raises(UserError, match=f"{ENVIRONMENT_VARIABLE} .*file is not a folder"):
        check_dataset("mnist")


def test_a_root_that_may_not_be_looked_into_is_named(
    nothing_installed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = nothing_installed / "mine"
    root.mkdir()
    arguments = ["datasets", "check", "--data-root", str(root)]
    assert main(arguments) == 0
    with monkeypatch.context() as patch:
        refuse(patch, "mine", "stat")
        assert main(arguments) == 2
    assert f"data_root {root} cannot be looked into (Permission denied)" in capsys.readouterr().err
    monkeypatch.setattr(os, "access", lambda path, mode: not os.fspath(path).endswith("mine"))
    assert main(arguments) == 2
    assert f"data_root {root} cannot be looked into (Permission denied)" in capsys.readouterr().err


def test_one_folder_that_may_not_be_looked_into_does_not_hide_the_others(
    nothing_installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = nothing_installed / "mine"
    refuse(monkeypatch, "mine/cifar-10-batches-py/batches.meta", "stat")
    status = check_dataset("cifar10", root)
    assert not status.present
    expected = f"{root / 'cifar-10-batches-py'} cannot be looked into: Permission denied"
    assert status.problem == expected and expected in status.message()
    elsewhere = root / "cifar10" / "cifar-10-batches-py"
    elsewhere.mkdir(parents=True)
    for name in DATASETS["cifar10"].files:
        (elsewhere / name).touch()
    assert check_dataset("cifar10", root).found_at == str(elsewhere)


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        "3",
        "[" * 100_000,
        '{"dataset_location": 3}',
        '{"dataset_location": "~nobody-here/x"}',
    ],
)
def test_a_broken_configuration_of_avalanche_means_its_default(
    content: str, nothing_installed: Path
) -> None:
    folder = nothing_installed / ".avalanche"
    folder.mkdir()
    (folder / "config.json").write_text(content)
    assert avalanche_root() == folder / "data"


def test_a_configuration_that_avalanche_has_read_may_be_of_any_kind(
    nothing_installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for config in ([], {}, {"dataset_location": 3}):
        module = SimpleNamespace(AVALANCHE_CONFIG=config)
        monkeypatch.setitem(sys.modules, "avalanche.benchmarks.datasets.dataset_utils", module)
        assert avalanche_root() == nothing_installed / ".avalanche" / "data"


def test_a_configuration_that_is_a_pipe_is_not_waited_for(nothing_installed: Path) -> None:
    (nothing_installed / ".avalanche").mkdir()
    os.mkfifo(nothing_installed / ".avalanche" / "config.json")
    assert avalanche_root() == nothing_installed / ".avalanche" / "data"


def test_a_data_folder_of_avalanche_that_cannot_be_is_no_place_of_data(
    nothing_installed: Path,
) -> None:
    (nothing_installed / ".avalanche").mkdir()
    for location, problem in (("a\0b", None), (LONG, "File name too long")):
        config = json.dumps({"dataset_location": location})
        (nothing_installed / ".avalanche" / "config.json").write_text(config)
        status = check_dataset("mnist")
        assert not status.present and (status.problem or "").endswith(problem or "")
