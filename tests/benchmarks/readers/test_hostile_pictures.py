"""Pictures that Pillow would take much memory for while it opens them."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, features

from cl_strategies.benchmarks.readers import size_limits as limits
from cl_strategies.benchmarks.readers.size_limits import read_picture

webp = pytest.mark.skipif(not features.check("webp"), reason="this Pillow reads no WEBP")
SIZE = (33, 17)


@pytest.fixture
def unopened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "open", lambda *a, **k: pytest.fail("Pillow opened it"))


def pixels(seed: int = 0) -> Image.Image:
    shape = (*SIZE[::-1], 3)
    return Image.fromarray(np.random.RandomState(seed).randint(0, 256, shape).astype(np.uint8))


def encoded(**options: Any) -> bytearray:
    file = io.BytesIO()
    pixels().save(file, "WEBP", **options)
    return bytearray(file.getvalue())


def lossy(width: int, height: int) -> bytes:
    raw = encoded(quality=90)
    raw[26:30] = struct.pack("<2H", width, height)
    return bytes(raw)


def lossless(width: int, height: int) -> bytes:
    raw = encoded(lossless=True)
    raw[21:25] = struct.pack("<I", width - 1 | (height - 1) << 14)
    return bytes(raw)


def extended(width: int, height: int, flags: int = 0) -> bytes:
    sides = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    chunk = b"VP8X" + struct.pack("<I", 10) + bytes([flags, 0, 0, 0]) + sides
    content = b"WEBP" + chunk + bytes(encoded(lossless=True)[12:])
    return b"RIFF" + struct.pack("<I", len(content)) + content


def test_a_file_that_is_too_long_for_a_picture_is_not_opened(
    tmp_path: Path, unopened: None
) -> None:
    path = tmp_path / "long.webp"
    with path.open("wb") as file:
        file.write(b"RIFF" + struct.pack("<I", 2**31) + b"WEBPVP8L")
        file.truncate(2**36)
    with pytest.raises(OSError, match="more than the 268,435,456 bytes"):
        read_picture(path, "RGB")


@webp
@pytest.mark.parametrize("made", [lossy, lossless, extended])
def test_the_canvas_of_a_webp_file_is_measured_before_it_is_opened(
    made: Any, tmp_path: Path, unopened: None
) -> None:
    path = tmp_path / "bomb.webp"
    for width, height in ((16383, 16383), (2**13, 2**13 + 1)):
        path.write_bytes(made(width, height))
        with pytest.raises(OSError, match=f"{width}x{height} pixels are more than"):
            read_picture(path, "RGB")


@webp
def test_an_animation_is_no_picture(tmp_path: Path, unopened: None) -> None:
    path = tmp_path / "moving.webp"
    pixels(0).save(path, "WEBP", save_all=True, append_images=[pixels(1), pixels(2)])
    with pytest.raises(OSError, match="it is an animation"):
        read_picture(path, "RGB")
    path.write_bytes(extended(*SIZE, flags=limits._ANIMATED))
    with pytest.raises(OSError, match="it is an animation"):
        read_picture(path, "RGB")


@webp
@pytest.mark.parametrize("made", [lossy, lossless, extended])
def test_webp_files_that_are_pictures_are_read(made: Any, tmp_path: Path) -> None:
    path = tmp_path / "picture.webp"
    path.write_bytes(made(*SIZE))
    read = read_picture(path, "RGB")
    assert read.size == SIZE
    with Image.open(path) as picture:
        assert np.array_equal(np.asarray(read), np.asarray(picture.convert("RGB")))


@pytest.mark.parametrize("content", [b"", b"RIFF", b"RIFF\0\0\0\0WEBP", b"RIFF" + bytes(40)])
def test_files_that_only_begin_like_one_are_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "picture.webp"
    path.write_bytes(content)
    with pytest.raises(OSError, match="cannot identify|image file"):
        read_picture(path, "RGB")
