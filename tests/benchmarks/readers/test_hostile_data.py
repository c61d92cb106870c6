"""Data files of a hostile colleague: no code, no file of elsewhere, no memory without end."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import shutil
import signal
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cl_strategies.benchmarks import load
from cl_strategies.benchmarks.datasets.food101 import read_food101
from cl_strategies.benchmarks.datasets.svhn import read_svhn
from cl_strategies.benchmarks.datasets.tiny_imagenet import read_tiny_imagenet
from cl_strategies.benchmarks.readers import size_limits as limits
from cl_strategies.benchmarks.readers.idx import read_idx
from cl_strategies.benchmarks.readers.image_table import read_image_table
from cl_strategies.benchmarks.readers.plain_pickle import _ALLOWED, load_plain_pickle
from cl_strategies.errors import DataMissingError


@pytest.fixture
def cifar(data_root: str, tmp_path: Path) -> Path:
    """A folder of data with a small CIFAR-10."""
    name = "cifar-10-batches-py"
    return Path(shutil.copytree(Path(data_root) / name, tmp_path / "data" / name)).parent


@pytest.fixture
def tiny(data_root: str, tmp_path: Path) -> Path:
    """A copy of the small Tiny ImageNet."""
    name = "tiny-imagenet-200"
    return Path(shutil.copytree(Path(data_root) / name, tmp_path / name))


class Calls:
    """Pickles as a call of ``function``."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def attacks(marker: str) -> dict[str, bytes]:
    made = {
        "call": pickle.dumps(Calls(os.mkdir, marker), protocol=2),
        "inside": pickle.dumps({"data": [Calls(os.mkdir, marker)]}, protocol=4),
        "eval": pickle.dumps(Calls(eval, f"__import__('os').mkdir({marker!r})"), protocol=0),
        "text": f"cos\nmkdir\n(S'{marker}'\ntR.".encode(),
        "build": f"c_codecs\nencode\n}}S'__globals__'\ncos\nmkdir\nsb(S'{marker}'\nS'latin1'\ntR.",
        "dotted": b"\x80\x04\x8c\x05numpy\x8c\x0cos.path.join\x93.",
        "extension": b"\x80\x02\x82\x01.",
        "persistent": b"Pos\n.",
    }
    return {name: raw.encode() if isinstance(raw, str) else raw for name, raw in made.items()}


@pytest.mark.parametrize("name", attacks(""))
@pytest.mark.parametrize("place", ["batches.meta", "data_batch_1", "test_batch"])
def test_no_pickle_of_cifar_runs_code(name: str, place: str, cifar: Path, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    path = cifar / "cifar-10-batches-py" / place
    path.write_bytes(attacks(str(marker))[name])
    with pytest.raises(DataMissingError, match=place):
        load("split-cifar10", data_root=str(cifar))
    assert not marker.exists()


def test_what_a_pickle_may_ask_for_cannot_be_changed(tmp_path: Path) -> None:
    path = tmp_path / "changes"
    for module, name in _ALLOWED:
        for state in (b"}S'__call__'\nI1\ns", b"N}S'__call__'\nI1\ns\x86"):
            path.write_bytes(f"c{module}\n{name}\n".encode() + state + b"b.")
            with pytest.raises(AttributeError, match="_?dict|attribute|read-only"):
                load_plain_pickle(path)


@pytest.mark.parametrize(
    "program",
    [
        b"cnumpy\nndarray\n(I1099511627776\ntR.",
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I1099511627776\ntS'b'\ntR.",
        b"cnumpy\ndtype\n(S'O'\nI0\nI1\ntR.",
        b"cnumpy\ndtype\n(S'V1099511627776'\nI0\nI1\ntR.",
    ],
)
def test_a_pickle_allocates_no_more_than_it_holds(program: bytes, tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(program)
    try:
        made = load_plain_pickle(path)
    except (TypeError, pickle.UnpicklingError):
        return
    assert made.nbytes == 0


def test_arrays_of_both_pythons_are_read(tmp_path: Path) -> None:
    path = tmp_path / "array"
    for array in (np.arange(6, dtype=np.uint8).reshape(2, 3), np.linspace(0, 1, 4)):
        for protocol in (2, 4):
            path.write_bytes(pickle.dumps({"data": array}, protocol=protocol))
            assert np.array_equal(load_plain_pickle(path)["data"], array)


def png_that_declares(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.new("L", (1, 1)).save(file, "PNG")
    raw = bytearray(file.getvalue())
    raw[16:24] = struct.pack(">II", width, height)
    raw[29:33] = struct.pack(">I", zlib.crc32(raw[12:29]))
    return bytes(raw)


@pytest.mark.parametrize("size", [(2**14, 2**14), (2**31 - 1, 2**31 - 1), (2**13, 2**13 + 1)])
def test_a_picture_is_measured_before_it_is_decoded(
    size: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png_that_declares(*size))
    monkeypatch.setattr(Image.Image, "convert", lambda *a: pytest.fail("it was decoded"))
    with pytest.raises(OSError, match=r"pixels are more than|DecompressionBomb"):
        limits.read_picture(path, "RGB")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_bomb_among_the_pictures_of_a_data_set_is_named(tiny: Path) -> None:
    dataset = load("split-tiny-imagenet", data_root=str(tiny.parent)).train_stream[0].dataset
    name = (tiny / "wnids.txt").read_text().split()[0]
    bomb = tiny / "train" / name / "images" / f"{name}_0.JPEG"
    bomb.write_bytes(png_that_declares(10_000, 10_000))
    with pytest.raises(DataMissingError, match=f"{name}_0.JPEG.*100000000|10000x10000"):
        dataset[0]


@pytest.mark.parametrize("content", [b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"%PDF"])
def test_a_page_description_is_no_picture(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(content)
    with pytest.raises(OSError, match="cannot identify"):
        limits.read_picture(path, "L")


@pytest.fixture
def in_time() -> Any:
    """Or a pipe is waited for until the end of the world."""

    def late(*arguments: Any) -> None:
        raise TimeoutError("it waits")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize(
    "read",
    [
        read_idx,
        load_plain_pickle,
        read_svhn,
        read_image_table,
        lambda path: limits.read_picture(path, "RGB"),
    ],
)
def test_a_pipe_is_not_waited_for(read: Any, tmp_path: Path, in_time: None) -> None:
    path = tmp_path / "data"
    os.mkfifo(path)
    with pytest.raises((OSError, DataMissingError), match="not a regular file"):
        read(path)


def test_a_compressed_file_is_unpacked_up_to_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(bytes(10_001)))
    assert len(limits.unpack(path, 10_001)) == 10_001
    with pytest.raises(OSError, match="more than the 10,000 bytes"):
        limits.unpack(path, 10_000)
    with pytest.raises(DataMissingError, match=r"images\.gz.*more than the 10 bytes"):
        read_idx(tmp_path / "images", limit=10)


@pytest.mark.parametrize("name", ["../../../secret", "/etc/hostname", "..", "a/b", "a\0b"])
@pytest.mark.parametrize("file", ["wnids.txt", "val/val_annotations.txt"])
def test_tiny_imagenet_names_no_file_elsewhere(name: str, file: str, tiny: Path) -> None:
    path = tiny / file
    line = name if file == "wnids.txt" else f"{name}\t{(tiny / 'wnids.txt').read_text().split()[0]}"
    path.write_text(f"{path.read_text()}\n{line}\n".replace("\n\n", "\n"))
    with pytest.raises(DataMissingError, match="is not the name of a file"):
        read_tiny_imagenet(tiny)


@pytest.mark.parametrize("line", ["pie/../../secret", "pie//etc/hostname", "pie/", "../pie", "pie"])
def test_food_101_names_no_file_elsewhere(line: str, tmp_path: Path) -> None:
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "classes.txt").write_text("pie\n..\n" if line == "../pie" else "pie\n")
    for part in ("train", "test"):
        (tmp_path / "meta" / f"{part}.txt").write_text(f"pie/1\n{line}\n")
    with pytest.raises(DataMissingError, match="is not the name of a file"):
        read_food101(tmp_path)


def test_fetching_cifar_unpickles_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import utils

    from cl_strategies.benchmarks.datasets.registry import DATASETS

    fetched = []

    def archive(url: str, root: str, filename: str, md5: str) -> None:
        fetched.append((url, md5))

    monkeypatch.setattr(utils, "download_and_extract_archive", archive)
    monkeypatch.setattr(pickle, "load", lambda *a, **k: pytest.fail("it unpickles"))
    for name in ("cifar10", "cifar100"):
        DATASETS[name].fetch(tmp_path)
    assert [url.rpartition("/")[2] for url, _ in fetched] == [
        "cifar-10-python.tar.gz",
        "cifar-100-python.tar.gz",
    ]
    assert torch.tensor([len(md5) for _, md5 in fetched]).tolist() == [32, 32]
