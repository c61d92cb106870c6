"""Where data sets are looked for, what is said when they are missing, how they are fetched."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
import torchvision

from cl_strategies.benchmarks import check_dataset, check_datasets, download, load
from cl_strategies.benchmarks.datasets.data_folders import ENVIRONMENT_VARIABLE
from cl_strategies.benchmarks.datasets.registry import DATASETS
from cl_strategies.errors import DataMissingError, UserError

IDX = [f"{a}-{b}-ubyte" for a in ("train", "t10k") for b in ("images-idx3", "labels-idx1")]


def put(folder: Path, names: list[str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"")
    return folder


def test_check_says_for_each_data_set_whether_it_is_there_where_and_how_to_get_it(
    nothing_installed: Path,
) -> None:
    records = {record.name: record for record in check_datasets()}
    assert records.keys() == DATASETS.keys()
    assert records["digits"].present
    for name in ("mnist", "fashion-mnist", "cifar10", "cifar100", "tiny-imagenet"):
        record = records[name]
        assert not record.present
        assert record.looked_in
        assert record.how_to_get.startswith(f"cl-strategies datasets fetch {name}")
        assert all(folder in record.message() for folder in record.looked_in)
        json.dumps(asdict(record))
    assert "apt install dataset-fashion-mnist" in records["fashion-mnist"].how_to_get


def test_folders_are_tried_in_the_documented_order(
    nothing_installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = nothing_installed
    avalanche = put(home / ".avalanche/data/fashionmnist/FashionMNIST/raw", IDX)
    assert DATASETS["fashion-mnist"].locate() == avalanche
    system = put(home / "system/fashion-mnist", [f"{name}.gz" for name in IDX])
    assert DATASETS["fashion-mnist"].locate() == system
    variable = put(home / "variable/fashion-mnist", IDX)
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(home / "variable"))
    assert DATASETS["fashion-mnist"].locate() == variable
    explicit = put(home / "explicit/FashionMNIST/raw", IDX)
    assert DATASETS["fashion-mnist"].locate(str(home / "explicit")) == explicit
    assert check_dataset("fashion-mnist", home / "explicit").looked_in[0] == str(explicit)


def test_avalanches_configured_data_folder_is_used(nothing_installed: Path) -> None:
    folder = put(nothing_installed / "elsewhere/mnist/MNIST/raw", IDX)
    config = nothing_installed / ".avalanche/config.json"
    config.parent.mkdir()
    config.write_text(json.dumps({"dataset_location": str(nothing_installed / "elsewhere")}))
    assert DATASETS["mnist"].locate() == folder


def test_mnist_is_never_mistaken_for_fashion_mnist(nothing_installed: Path) -> None:
    put(nothing_installed / "fashion-mnist", IDX)
    assert not check_dataset("mnist", nothing_installed / "fashion-mnist").present
    assert not check_dataset("mnist", nothing_installed).present
    assert check_dataset("fashion-mnist", nothing_installed).present


def test_missing_data_name_the_folder_expected_and_the_command(nothing_installed: Path) -> None:
    root = nothing_installed / "mine"
    with pytest.raises(DataMissingError) as error:
        load("split-cifar10", data_root=str(root))
    assert str(root / "cifar-10-batches-py") in str(error.value)
    assert f"cl-strategies datasets fetch cifar10 --data-root {root}" in str(error.value)


def test_an_incomplete_folder_is_reported(nothing_installed: Path) -> None:
    put(nothing_installed / "cifar-100-python", ["meta", "train"])
    record = check_dataset("cifar100", nothing_installed)
    assert not record.present
    assert record.problem is not None
    assert record.problem.endswith("is incomplete: it lacks test")
    assert record.problem in record.message()


def test_bad_arguments_are_explained(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean cifar10"):
        check_dataset("cifar-10")
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(UserError, match="is not a folder"):
        check_dataset("mnist", file)
    with pytest.raises(UserError, match="data_root is 3"):
        check_dataset("mnist", 3)  # type: ignore[arg-type]


def test_checking_imports_neither_torch_nor_avalanche() -> None:
    code = (
        "import sys; from cl_strategies.benchmarks import check_datasets; check_datasets();"
        "print([name for name in ('torch', 'avalanche', 'sklearn') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_download_uses_torchvision_and_the_given_folder(
    nothing_installed: Path,
    monkeypatch: pytest.MonkeyPatch,
    write_fashion: Callable[[Path], None],
) -> None:
    def fetch(root: str, *, download: bool) -> None:
        assert download
        write_fashion(Path(root) / "FashionMNIST" / "raw")

    monkeypatch.setattr(torchvision.datasets, "FashionMNIST", fetch)
    root = nothing_installed / "new"
    assert download("fashion-mnist", root) == root / "FashionMNIST" / "raw"
    assert load("split-fashion-mnist", data_root=str(root)).info.n_classes == 10
    monkeypatch.delattr(torchvision.datasets, "FashionMNIST")
    assert download("fashion-mnist", root) == root / "FashionMNIST" / "raw"


def test_download_without_a_folder_goes_where_avalanche_looks(
    nothing_installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(url: str, root: str, **options: str) -> None:
        put(Path(root) / "cifar-100-python", ["meta", "train", "test"])

    monkeypatch.setattr(torchvision.datasets.utils, "download_and_extract_archive", fetch)
    expected = nothing_installed / ".avalanche/data/cifar100/cifar-100-python"
    assert download("cifar100") == expected


def test_a_failed_download_is_a_user_error(
    nothing_installed: Path, refuse_network: Callable[[], int]
) -> None:
    for name in ("mnist", "cifar10", "tiny-imagenet"):
        with pytest.raises(UserError, match="could not be fetched"):
            download(name, nothing_installed / "new")
    assert refuse_network() >= 3


def test_what_no_program_can_fetch_is_explained(
    nothing_installed: Path, refuse_network: Callable[[], int]
) -> None:
    for name in ("imagenet", "imagenet-100", "office-31", "imageclef"):
        assert check_dataset(name).how_to_get.startswith("by hand: ")
        with pytest.raises(UserError, match="cannot be fetched by a program. By hand: "):
            download(name, nothing_installed / "new")
    assert refuse_network() == 0 and not (nothing_installed / "new").exists()


def test_digits_need_no_download(refuse_network: Callable[[], int]) -> None:
    download("digits")
    assert len(load("split-digits").train_stream) == 5
    assert refuse_network() == 0
