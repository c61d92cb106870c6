"""Small files that would become large: what they take is bounded by what real ones need."""

from __future__ import annotations

import gzip
import io
import pickle
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cl_strategies.benchmarks.datasets.cifar import read_cifar_names, read_plain_pickle
from cl_strategies.benchmarks.datasets.domains import read_imageclef
from cl_strategies.benchmarks.datasets.food101 import read_food101
from cl_strategies.benchmarks.datasets.glyphs import read_grey
from cl_strategies.benchmarks.datasets.tiny_imagenet import read_tiny_imagenet
from cl_strategies.benchmarks.readers import plain_pickle
from cl_strategies.benchmarks.readers.idx import read_idx_pair
from cl_strategies.benchmarks.readers.image_table import read_image_table
from cl_strategies.benchmarks.readers.mat_files import MAX_ARRAYS, read_mat_arrays
from cl_strategies.benchmarks.readers.size_limits import read_picture
from cl_strategies.errors import DataMissingError

MIB = 2**20


def refused(read: Callable[[], Any], match: str) -> int:
    """The most bytes that Python and numpy held until ``read`` raised."""
    tracemalloc.start()
    try:
        with pytest.raises((OSError, DataMissingError), match=match):
            read()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def text(content: bytes) -> bytes:
    return b"X" + struct.pack("<I", len(content)) + content


def number(value: int) -> bytes:
    raw = pickle.encode_long(value)
    return b"\x8a" + bytes([len(raw)]) + raw


#: Integers that share a hash: each looks at all before it.
COLLIDING = [number(index * (2**61 - 1)) for index in range(500)]


@pytest.mark.parametrize(
    "program",
    [
        b"}(" + b"N".join(COLLIDING) + b"Nu.",
        b"}" + b"".join(key + b"Ns" for key in COLLIDING) + b".",
        b"(" + b"N".join(COLLIDING) + b"Nd.",
        b"}(" + text(b"data") + b"}(" + b"N".join(COLLIDING) + b"Nuu.",
        b"}(" + b"".join(key + b"q\1N" for key in COLLIDING) + b"u.",
        b"}(" + number(7) + b"q\1NNNu0.",
        b"}(" + number(7) + b"q\1" + text(b"a") + b"h\1Nu.",
        b"}G" + bytes(8) + b"Ns.",
        b"}" + text(b"a") + b"\x85Ns.",
        b"}" + text(b"a" * 257) + b"Ns.",
        b"\x8f(" + b"".join(COLLIDING) + b"\x90.",
        b"(" + b"".join(COLLIDING) + b"\x91.",
    ],
)
def test_keys_are_names(program: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_pickle, "_PlainUnpickler", lambda *a, **k: pytest.fail("it was run"))
    path = tmp_path / "data_batch_1"
    path.write_bytes(b"\x80\x04" + program)
    with pytest.raises(DataMissingError, match=r"data_batch_1.*(not short text|does not need)"):
        read_plain_pickle(path)


def test_keys_that_are_names_may_be_used_again(tmp_path: Path) -> None:
    path = tmp_path / "meta"
    path.write_bytes(b"\x80\x04}(" + text(b"a") + b"\x94Nh\0N" + text(b"b") + b"h\0u.")
    assert read_plain_pickle(path) == {"a": None, "b": "a"}


LONG = text(b"a" * MIB)
ENCODE = b"c_codecs\nencode\n"


@pytest.mark.parametrize(
    "program",
    [
        b"](" + b"(" + LONG + b"q\1" + text(b"latin1") + b"q\2i_codecs\nencode\n"
        b"(h\1h\2i_codecs\nencode\n" * 50 + b"e.",
        b"]("
        + b"("
        + ENCODE
        + LONG
        + b"q\1"
        + text(b"latin1")
        + b"q\2o"
        + (b"(" + ENCODE + b"h\1h\2o") * 50
        + b"e.",
        b"]("
        + ENCODE
        + LONG
        + b"q\1"
        + text(b"latin1")
        + b"q\2\x86R"
        + (ENCODE + b"h\1h\2\x86R") * 50
        + b"e.",
        b"](" + ENCODE + LONG + b"q\1p300000\n" + b"e.",
    ],
)
def test_a_long_text_is_encoded_once(program: bytes, tmp_path: Path) -> None:
    path = tmp_path / "data_batch_1"
    path.write_bytes(b"\x80\x02" + program)
    match = "does not need|uses an object twice|object number"
    assert refused(lambda: read_plain_pickle(path), match) < 8 * MIB


def test_names_of_classes_are_few(tmp_path: Path) -> None:
    path = tmp_path / "meta"
    path.write_bytes(pickle.dumps({"label_names": ["a"] * 2**16}))
    assert refused(lambda: read_cifar_names(path, "label_names"), "more than the 65,536") < MIB


def idx(content: bytes, *shape: int) -> bytes:
    head = struct.pack(f">4B{len(shape)}I", 0, 0, 8, len(shape), *shape)
    return gzip.compress(head + content)


def write_pair(folder: Path, images: bytes, labels: bytes) -> None:
    (folder / "train-images-idx3-ubyte.gz").write_bytes(images)
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(labels)


def test_images_of_no_width_have_no_labels(tmp_path: Path) -> None:
    for shape in ((9, 0, 28), (9, 28, 0), (9, 0, 2**32 - 1)):
        write_pair(tmp_path, idx(b"", *shape), idx(bytes(9), 9))
        assert refused(lambda: read_idx_pair(tmp_path, "train"), "are empty") < 2 * MIB


def test_labels_are_no_more_than_images(tmp_path: Path) -> None:
    n = 16 * MIB
    write_pair(tmp_path, idx(b"", n, 0, 0), idx(bytes(n), n))
    assert refused(lambda: read_idx_pair(tmp_path, "train"), "labels.*more than the 131") < 2 * MIB


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (bytes(17 * MIB), "more than the 16,777,216 bytes"),
        (b"11\n" * MIB, "it has 1 columns"),
        (b"0," * MIB, "a line of more than the 4,096 letters"),
        (b"1" * 2 * MIB, "a line of more than the 4,096 letters"),
    ],
)
def test_a_table_takes_no_more_than_its_numbers(content: bytes, match: str, tmp_path: Path) -> None:
    path = tmp_path / "mnist_5k.csv.gz"
    path.write_bytes(gzip.compress(content, 1))
    assert refused(lambda: read_image_table(path), match) < 40 * MIB


def listing(folder: Path, name: str, content: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(content)


def test_lists_are_no_longer_than_published_ones(tmp_path: Path) -> None:
    listing(tmp_path, "meta/classes.txt", "pie\n")
    listing(tmp_path, "meta/train.txt", "pie/1\n" * 2**18)
    assert refused(lambda: read_food101(tmp_path), r"train\.txt.*131,072 lines") < 48 * MIB
    listing(tmp_path, "meta/train.txt", "pie/1\n" * MIB)
    assert refused(lambda: read_food101(tmp_path), r"train\.txt.*4,194,304 bytes") < MIB


def test_annotations_become_no_more_paths_than_published_ones(tmp_path: Path) -> None:
    listing(tmp_path, "wnids.txt", "n\n")
    listing(tmp_path, "val/val_annotations.txt", "a\tn\n" * 2**17)
    assert refused(lambda: read_tiny_imagenet(tmp_path), "annotations.*16,384 lines") < 16 * MIB
    listing(tmp_path, "wnids.txt", "n\n" * 2**12)
    assert refused(lambda: read_tiny_imagenet(tmp_path), r"wnids\.txt.*1,024 lines") < 2 * MIB
    listing(tmp_path, "bList.txt", "b/x 0\n" * MIB)
    assert refused(lambda: read_imageclef(tmp_path), r"bList\.txt.*bytes allowed") < MIB


def test_a_message_does_not_quote_a_whole_file(tmp_path: Path) -> None:
    listing(tmp_path, "wnids.txt", "n\n")
    listing(tmp_path, "val/val_annotations.txt", "\t" * MIB + "x")
    with pytest.raises(DataMissingError, match="val_annotations") as error:
        read_tiny_imagenet(tmp_path)
    assert len(str(error.value)) < 1000


HEADER = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H", 0x0100) + b"IM"


def element(kind: int, content: bytes) -> bytes:
    return struct.pack("<II", kind, len(content)) + content + bytes(-len(content) % 8)


def matrix(content: bytes, *, flags: int = 9, stored: int = 2, name: bytes = b"y") -> bytes:
    head = element(6, struct.pack("<II", flags, 0))
    head += element(5, struct.pack("<2i", len(content), 1)) + element(1, name)
    return element(14, head + element(stored, content))


def compressed(content: bytes) -> bytes:
    packed = zlib.compress(content, 1)
    return struct.pack("<II", 15, len(packed)) + packed


def test_what_is_compressed_twice_is_not_unpacked_twice(tmp_path: Path) -> None:
    path = tmp_path / "train_32x32.mat"
    path.write_bytes(HEADER + compressed(compressed(matrix(bytes(64 * MIB), name=b"z"))))
    assert refused(lambda: read_mat_arrays(path, {"y": 2}), "something else than arrays") < 2 * MIB


@pytest.mark.parametrize("stored", [0, 8, 10, 14, 15, 18, 99, 255, 65535])
def test_numbers_of_an_unknown_type_do_not_end_the_interpreter(stored: int, tmp_path: Path) -> None:
    path = tmp_path / "train_32x32.mat"
    path.write_bytes(HEADER + matrix(bytes(8), stored=stored))
    with pytest.raises(OSError, match="of an unknown type"):
        read_mat_arrays(path, {"y": 2})


def test_complex_numbers_and_very_many_arrays_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "train_32x32.mat"
    path.write_bytes(HEADER + matrix(bytes(8), flags=9 | 0x800))
    with pytest.raises(OSError, match="of class complex uint8"):
        read_mat_arrays(path, {"y": 2})
    path.write_bytes(HEADER + matrix(bytes(8)) * (MAX_ARRAYS + 1))
    with pytest.raises(OSError, match="more than the 64 arrays"):
        read_mat_arrays(path, {"y": 2})


def test_the_text_of_a_header_does_not_choose_the_version(tmp_path: Path) -> None:
    """scipy takes a file that begins with a zero for one of version 4."""
    path = tmp_path / "train_32x32.mat"
    path.write_bytes(bytes(124) + HEADER[124:] + matrix(bytes(range(8))))
    assert read_mat_arrays(path, {"y": 2})["y"].ravel().tolist() == list(range(8))


def tiff_with_a_tile(width: int, height: int, tile: int) -> bytes:
    """Deflated zeros that decode to less than the tile they are said to be."""
    content = zlib.compress(bytes(16 * 16), 9)
    tags = [(256, width), (257, height), (258, 8), (259, 8), (262, 1), (277, 1)]
    tags += [(322, tile), (323, tile), (324, 200), (325, len(content))]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)
    return head.ljust(200, b"\0") + content


def test_a_tile_that_is_larger_than_its_picture_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "picture.jpg"
    path.write_bytes(tiff_with_a_tile(16, 16, 45056))
    with pytest.raises(OSError, match="cannot identify"):
        read_picture(path, "RGB")


@pytest.mark.parametrize("kind", ["BMP", "GIF", "PPM", "TIFF"])
def test_formats_that_no_data_set_has_are_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    Image.new("L", (9, 9)).save(path, kind)
    with pytest.raises(OSError, match="cannot identify"):
        read_picture(path, "L")


def test_pictures_of_no_width_are_refused(tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(file, "JPEG")
    at = file.getvalue().index(b"\xff\xc0") + 5
    path = tmp_path / "picture.jpg"
    for height, width in ((0, 9), (9, 0), (0, 0)):
        raw = bytearray(file.getvalue())
        raw[at : at + 4] = struct.pack(">HH", height, width)
        path.write_bytes(raw)
        with pytest.raises(OSError, match="cannot identify"):
            read_picture(path, "RGB")


def test_a_letter_is_no_photograph(tmp_path: Path) -> None:
    path = tmp_path / "letter.png"
    Image.new("1", (300, 300)).save(path)
    with pytest.raises(DataMissingError, match="300x300 pixels are more than the 65,536"):
        read_grey(path)
