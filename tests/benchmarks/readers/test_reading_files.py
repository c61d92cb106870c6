"""Files are read up to a limit, and for what they hold no more memory is taken than they need."""

from __future__ import annotations

import gzip
import io
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cl_strategies.benchmarks.readers.size_limits import unpack
from cl_strategies.io import bounded as regular
from cl_strategies.io.bounded import read_bounded, read_regular


def peak_bytes(call: Callable[[], Any]) -> int:
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_small_file_takes_little_memory_whatever_the_limit_is(tmp_path: Path) -> None:
    path = tmp_path / "small"
    path.write_bytes(b"small")
    assert peak_bytes(lambda: read_regular(path)) < 2**16
    path.write_bytes(gzip.compress(b"small"))
    assert peak_bytes(lambda: unpack(path)) < 2**22


@pytest.mark.parametrize("length", [0, 1, 2**20 - 1, 2**20, 2**20 + 1, 3 * 2**20 + 7])
def test_everything_is_read_however_long_it_was_expected_to_be(length: int) -> None:
    content = os.urandom(length)
    for expected in (0, length // 2, length, 2 * length):
        assert read_bounded(io.BytesIO(content), length, expected) == content
        if length:
            assert len(read_bounded(io.BytesIO(content), length - 1, expected)) == length


def test_a_file_that_is_too_long_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "long"
    with path.open("wb") as file:
        file.truncate(2**40)
    monkeypatch.setattr(regular, "read_bounded", lambda *a, **k: pytest.fail("it was read"))
    with pytest.raises(OSError, match="more than the 268,435,456 bytes"):
        read_regular(path)


def test_a_file_that_grows_while_it_is_read_stays_within_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log"
    path.write_bytes(bytes(10))
    fstat = os.fstat

    def grows(descriptor: int) -> os.stat_result:
        found = fstat(descriptor)
        with path.open("ab") as file:
            file.write(bytes(5))
        return found

    monkeypatch.setattr(os, "fstat", grows)
    with pytest.raises(OSError, match="more than the 12 bytes"):
        read_regular(path, 12)
    monkeypatch.setattr(os, "fstat", fstat)
    assert read_regular(path, 40) == path.read_bytes()


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="there are no files of the kernel")
def test_files_of_the_kernel_which_have_no_size_are_read_up_to_the_limit() -> None:
    path = Path("/proc/self/maps")
    assert os.stat(path).st_size == 0
    assert b"\n" in read_regular(path)
    with pytest.raises(OSError, match="more than the 100 bytes"):
        read_regular(path, 100)
