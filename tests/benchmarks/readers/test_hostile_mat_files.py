"""MATLAB files that nest without end or hold more than they say."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from cl_strategies.benchmarks.datasets.svhn import read_svhn
from cl_strategies.benchmarks.readers.mat_files import read_mat_arrays
from cl_strategies.errors import DataMissingError

HEADER = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H", 0x0100) + b"IM"
CELL, DOUBLE, UINT8 = 1, 6, 9
BOTH = {"X": 4, "y": 2}


def element(kind: int, content: bytes) -> bytes:
    return struct.pack("<II", kind, len(content)) + content + bytes(-len(content) % 8)


def head(kind: int, shape: tuple[int, ...], name: str) -> bytes:
    return (
        element(6, struct.pack("<II", kind, 0))
        + element(5, struct.pack(f"<{len(shape)}i", *shape))
        + element(1, name.encode())
    )


def matrix(kind: int, shape: tuple[int, ...], name: str, content: bytes) -> bytes:
    return element(14, head(kind, shape, name) + element(2, content))


def nested(depth: int, name: str) -> bytes:
    """A cell in a cell in a cell."""
    parts = [matrix(DOUBLE, (1, 1), "", b"\0")]
    length = len(parts[0])
    for level in range(depth):
        begun = head(CELL, (1, 1), name if level == depth - 1 else "")
        parts.append(struct.pack("<II", 14, len(begun) + length) + begun)
        length += len(parts[-1])
    return b"".join(reversed(parts))


def compressed(content: bytes) -> bytes:
    packed = zlib.compress(content)
    return struct.pack("<II", 15, len(packed)) + packed


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "train_32x32.mat"


@pytest.mark.parametrize("name", ["X", "y"])
@pytest.mark.parametrize("packed", [False, True])
def test_cells_are_not_entered(name: str, packed: bool, path: Path) -> None:
    cells = nested(50_000, name)
    path.write_bytes(HEADER + (compressed(cells) if packed else cells))
    with pytest.raises(DataMissingError, match=rf"train_32x32\.mat.*'{name}' is of class cell"):
        read_svhn(path)


def test_a_second_variable_of_the_same_name_is_looked_at_too(path: Path) -> None:
    path.write_bytes(HEADER + matrix(UINT8, (32, 32, 3, 1), "X", bytes(3072)) + nested(9, "X"))
    with pytest.raises(OSError, match="'X' is of class cell"):
        read_mat_arrays(path, BOTH)


def test_a_size_is_counted_in_bytes(path: Path) -> None:
    path.write_bytes(HEADER + matrix(DOUBLE, (2**26, 1), "y", b"\1"))
    with pytest.raises(DataMissingError, match="'y' of shape .* more than the 268,435,456 bytes"):
        read_svhn(path)
    path.write_bytes(HEADER + matrix(DOUBLE, (-(2**27), 1), "y", b"\1"))
    with pytest.raises(OSError, match="'y' of shape"):
        read_mat_arrays(path, BOTH)


def test_what_a_compressed_array_unpacks_to_is_limited(path: Path) -> None:
    """Its shape names one image, and its bytes go on."""
    path.write_bytes(HEADER + compressed(matrix(UINT8, (32, 32, 3, 1), "X", bytes(2**26))))
    assert path.stat().st_size < 2**20
    tracemalloc.start()
    with pytest.raises(OSError, match="unpacks to more than"):
        read_mat_arrays(path, BOTH, limit=2**20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**23


def test_what_all_arrays_together_unpack_to_is_limited(path: Path) -> None:
    many = [compressed(matrix(UINT8, (2**18, 1), f"v{i}", bytes(2**18))) for i in range(9)]
    path.write_bytes(HEADER + b"".join(many))
    with pytest.raises(OSError, match="unpacks to more than"):
        read_mat_arrays(path, BOTH, limit=2**21)
    assert read_mat_arrays(path, {"v8": 2}, limit=2**22)["v8"].shape == (2**18, 1)


def test_lengths_that_the_file_does_not_have_take_no_memory(path: Path) -> None:
    for kind in (14, 15):
        path.write_bytes(HEADER + struct.pack("<II", kind, 2**32 - 1) + b"\0" * 100)
        with pytest.raises(DataMissingError, match=r"train_32x32\.mat"):
            read_svhn(path)


@pytest.mark.parametrize("content", [b"", b"\0" * 64, b"\0" * 200, b"\x89HDF\r\n" + bytes(200)])
def test_files_of_other_versions_are_named(content: bytes, path: Path) -> None:
    path.write_bytes(content)
    with pytest.raises(DataMissingError, match=r"train_32x32\.mat.*not a file of MATLAB 5\.0"):
        read_svhn(path)


@pytest.mark.parametrize("packed", [False, True])
def test_arrays_are_those_that_scipy_reads(packed: bool, path: Path) -> None:
    generator = np.random.RandomState(0)
    made = {
        "other": [[1.5]],
        "X": generator.randint(0, 256, (32, 32, 3, 7)).astype(np.uint8),
        "y": generator.randint(1, 11, (7, 1)).astype(float),
    }
    savemat(path, made, do_compression=packed)
    expected = loadmat(io.BytesIO(path.read_bytes()))
    found = read_mat_arrays(path, BOTH)
    assert found.keys() == BOTH.keys()
    for name, array in found.items():
        assert array.dtype == expected[name].dtype and np.array_equal(array, expected[name])
