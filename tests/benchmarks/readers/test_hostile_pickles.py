"""Pickles that describe arrays of their own making: numpy believes them, this reader does not."""

from __future__ import annotations

import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cl_strategies.benchmarks.datasets.cifar import read_cifar_batch
from cl_strategies.benchmarks.readers import pickle_steps, plain_pickle
from cl_strategies.benchmarks.readers.plain_pickle import load_plain_pickle
from cl_strategies.errors import DataMissingError

Write = Any  # a function that writes a pickle and returns its path

PLAIN_TYPE = (3, "|", None, None, None, -1, -1, 0)


def inside(value: Any) -> bytes:
    """What pushes ``value``, without beginning and end."""
    return pickle.dumps(value, protocol=2)[2:-1]


def described(
    type_state: Any = PLAIN_TYPE,
    shape: Any = (1, 3072),
    raw: Any = bytes(3072),
    code: str = "u1",
    columns_first: Any = False,
) -> bytes:
    """The program that makes one array, as numpy writes it, with states of our choice."""
    content = b"B" + struct.pack("<I", len(raw)) + raw if isinstance(raw, bytes) else inside(raw)
    numbers = b"cnumpy\ndtype\n" + inside(code) + b"\x89\x88\x87R" + inside(type_state) + b"b"
    begun = b"cnumpy._core.multiarray\n_reconstruct\ncnumpy\nndarray\n" + inside((0,))
    begun += inside("b") + b"\x87R"
    return begun + b"(" + inside(1) + inside(shape) + numbers + inside(columns_first) + content
    # What builds it follows: b"tb".


def array(**options: Any) -> bytes:
    return b"\x80\x04" + described(**options) + b"tb."


def batch(**options: Any) -> bytes:
    """The same as the only image of a batch of CIFAR-10."""
    made = described(**options) + b"tb"
    return b"\x80\x04}(" + inside("data") + made + inside("labels") + inside([0]) + b"u."


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def to_file(program: bytes) -> Path:
        path = tmp_path / "data_batch_1"
        path.write_bytes(program)
        return path

    return to_file


def test_what_is_described_as_numpy_does_is_read(write: Write) -> None:
    images, labels = read_cifar_batch(write(batch()), "labels", 10)
    assert images.shape == (1, 32, 32, 3) and labels.tolist() == [0]


@pytest.mark.parametrize(
    "state",
    [
        (3, "|", None, ("a",), {"a": (5, 0)}, -1, -1, 1),  # ends the interpreter in numpy
        (3, "|", None, ("a",), {"a": (5, 0)}, -1, -1, 0),
        (3, "|", None, ("a",), None, -1, -1, 0),
        (3, "|", ("u1", (10**6, 10**6)), None, None, -1, -1, 0),
        (3, "|", None, None, None, 10**6, 1, 0),
        (3, "|", None, None, None, -5, 1, 0),
        (3, "|", None, None, None, -1, -1, 1),
        (3, "|", None, None, None, -1, -1, 0x3F),
        (4, "|", None, None, None, -1, -1, 0, {"a": 1}),
        (3, "zz", None, None, None, -1, -1, 0),
        (3, "\u1234", None, None, None, -1, -1, 0),
        (3, ["<"], None, None, None, -1, -1, 0),
        (99, "|", None, None, None, -1, -1, 0),
        (3, "|", None, None),
        {"dtype": 1},
        (None, {"dtype": 1}),
        None,
    ],
)
def test_a_pickle_does_not_shape_a_type_of_numbers(state: Any, write: Write) -> None:
    for code in ("u1", "i8", "f8"):
        with pytest.raises(DataMissingError, match=r"data_batch_1 is truncated or corrupt \(it "):
            read_cifar_batch(write(batch(type_state=state, code=code)), "labels", 10)


@pytest.mark.parametrize(
    "options",
    [
        {"shape": (1, 3073)},
        {"shape": (-1, 3072)},
        {"shape": (-1, -3072)},
        {"shape": [1, 3072]},
        {"shape": (1.0, 3072)},
        {"shape": (True, 3072)},
        {"shape": (0, 2**62)},
        {"raw": bytes(3071)},
        {"raw": [0] * 3072},
        {"raw": "\u1234" * 3072},
        {"raw": 3072},
        {"code": "O", "raw": [0] * 3072},
        {"code": "V1"},
        {"code": "u1,u1"},
        {"code": "3072u1", "shape": (1,)},
        {"code": "M8[ns]"},
        {"code": ["u1"]},
    ],
)
def test_an_array_is_made_of_what_the_file_holds_or_not_at_all(
    options: dict[str, Any], write: Write
) -> None:
    with pytest.raises(DataMissingError, match="data_batch_1 is truncated or corrupt"):
        read_cifar_batch(write(batch(**options)), "labels", 10)


def test_a_type_of_numbers_must_be_one_of_numpys(write: Write) -> None:
    program = array().replace(described()[described().index(b"cnumpy\ndtype") :], b"")
    program = program.replace(b"tb.", inside([3]) + inside(False) + inside("a" * 3072) + b"tb.")
    with pytest.raises(pickle.UnpicklingError, match="not made of numbers"):
        load_plain_pickle(write(program))


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("code", sorted(plain_pickle._NUMBERS))
def test_arrays_keep_their_type_order_and_content(code: str, order: Any, write: Write) -> None:
    for endian in "<>":
        kind = np.dtype(code).newbyteorder(endian)
        expected = np.arange(24).reshape(2, 3, 4).astype(kind).copy(order=order)
        for protocol in (2, 3, 4):
            read = load_plain_pickle(write(pickle.dumps(expected, protocol=protocol)))
            assert read.dtype == expected.dtype and np.array_equal(read, expected)


def test_an_array_that_is_only_begun_is_no_array(write: Write) -> None:
    begun = described()[: described().index(b"R") + 1]
    with pytest.raises(pickle.UnpicklingError, match="an array without content"):
        load_plain_pickle(write(b"\x80\x04" + begun + b"."))


@pytest.mark.parametrize(
    "program",
    [
        b"\x80\x02}r\xff\xff\xff\x0f.",
        b"\x80\x02}r\xff\xff\xff\xff.",
        b"\x80\x02}q\xff.",
        b"}p268435455\n.",
        b"}p-1\n.",
    ],
)
def test_a_large_number_for_an_object_takes_no_memory(
    program: bytes, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plain_pickle, "_PlainUnpickler", lambda *a, **k: pytest.fail("it was run"))
    with pytest.raises(pickle.UnpicklingError, match="object number"):
        load_plain_pickle(write(program))


def test_numbers_of_objects_are_those_that_picklers_give(write: Write) -> None:
    shared = [f"image{number}.png" for number in range(1000)]
    for protocol in (0, 1, 2, 4, 5):
        program = pickle.dumps({"names": shared, "again": shared}, protocol=protocol)
        assert load_plain_pickle(write(program)) == {"names": shared, "again": shared}


@pytest.mark.parametrize("length", [2**40, 2**62])
@pytest.mark.parametrize("opcode", [b"\x8e", b"\x8d", b"\x96", b"\x95"])
def test_a_length_that_the_file_does_not_have_takes_no_memory(
    opcode: bytes, length: int, write: Write
) -> None:
    program = b"\x80\x05" + opcode + struct.pack("<Q", length)
    with pytest.raises((ValueError, pickle.UnpicklingError, EOFError)):
        load_plain_pickle(write(program))


def test_a_pickle_of_very_many_steps_is_not_run(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pickle_steps, "MAX_STEPS", 100)
    assert load_plain_pickle(write(b"\x80\x02" + b"](" + b"]" * 95 + b"e.")) == [[]] * 95
    with pytest.raises(pickle.UnpicklingError, match="more than the 100 steps"):
        load_plain_pickle(write(b"\x80\x02" + b"](" + b"]" * 97 + b"e."))


@pytest.mark.parametrize(
    "program",
    [
        b"})" + b"\x85" * 1_000_000 + b"Ns.",  # a key of tuples in tuples ends the interpreter
        b"})\x85" + b"2\x86" * 60 + b"Ns.",  # one that is its own half, 60 times
        b"})\x85" + b"q\1h\1\x86" * 60 + b"Ns.",
        b"})\x85" + b"\x94h\0\x86" * 60 + b"Ns.",
        b"})\x85" + b"p1\np2\ng1\n\x86" * 60 + b"Ns.",
        b"})\x85" + b"N0q\1h\1\x86" * 60 + b"Ns.",
        b"})\x85" + b"(N1q\1h\1\x86" * 60 + b"Ns.",
        b"})\x85" + (b"\x95" + bytes(8) + b"\x80\4q\1h\1\x86") * 60 + b"Ns.",
    ],
)
def test_tuples_in_tuples_are_neither_deep_nor_used_twice(program: bytes, write: Write) -> None:
    with pytest.raises(pickle.UnpicklingError, match="tuples allowed|uses an object twice"):
        load_plain_pickle(write(b"\x80\x04" + program))
