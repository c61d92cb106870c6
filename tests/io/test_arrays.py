"""Files of plain vectors: what is written is read, and nothing else is."""

import io
import zipfile

import numpy as np
import pytest

from cl_strategies.io.arrays import PackedArrays, packed

VECTORS = {
    "small": np.arange(5, dtype=np.uint8),
    "large": np.array([1, -2, 3], dtype="<i4"),
    "half": np.linspace(0, 1, 7).astype(np.float16),
    "none": np.zeros(0, dtype="<u2"),
}


def test_numpy_reads_the_same_vectors_without_pickles():
    with np.load(io.BytesIO(packed(VECTORS)), allow_pickle=False) as found:
        assert {name: found[name].tolist() for name in found} == {
            name: vector.tolist() for name, vector in VECTORS.items()
        }


def test_what_is_written_is_read():
    arrays = PackedArrays(packed(VECTORS))
    arrays.only(frozenset(VECTORS))
    for name, vector in VECTORS.items():
        found = arrays.vector(name, (vector.dtype.str,), len(vector), 0)
        assert found.dtype == vector.dtype and np.array_equal(found, vector)


def test_the_same_numbers_are_the_same_bytes():
    swapped = {
        name: vector.astype(vector.dtype.newbyteorder(">")) for name, vector in VECTORS.items()
    }
    assert packed(VECTORS) == packed(swapped) == packed(dict(VECTORS))


@pytest.mark.parametrize(
    ("dtypes", "length", "most"),
    [(("<i4",), 5, 5), (("|u1",), 4, 9), (("|u1",), 6, 9), (("|u1",), None, 4)],
)
def test_another_type_or_length_is_refused(dtypes, length, most):
    with pytest.raises(ValueError, match="its vector small"):
        PackedArrays(packed(VECTORS)).vector("small", dtypes, length, most)


def test_missing_and_unknown_vectors_are_refused():
    arrays = PackedArrays(packed(VECTORS))
    with pytest.raises(ValueError, match="expected are"):
        arrays.only(frozenset({*VECTORS, "more"}))
    with pytest.raises(ValueError, match="expected are"):
        arrays.only(frozenset({"small"}))


def archive(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return buffer.getvalue()


def member(array, **options) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, **options)
    return buffer.getvalue()


def test_objects_tables_and_lies_about_lengths_are_refused():
    whole = member(np.arange(4, dtype="<i4"))
    forged = {
        "objects": member(np.array([{}], dtype=object), allow_pickle=True),
        "table": member(np.zeros((2, 2), dtype="<i4")),
        "long": whole.replace(b"(4,)", b"(9,)"),
        "short": whole.replace(b"(4,)", b"(2,)"),
        "huge": whole.replace(b"(4,), ", b"(99999999999,), "),
        "none": b"no vector",
        "empty": b"",
    }
    for name, content in forged.items():
        with pytest.raises(ValueError, match=f"its vector {name}"):
            PackedArrays(archive(**{name: content})).vector(name, ("<i4",), None, 2**40)


def test_no_more_is_unpacked_than_expected(monkeypatch):
    bomb = archive(zeros=member(np.zeros(10_000_000, dtype=np.uint8)))
    assert len(bomb) < 20_000
    read = zipfile.ZipExtFile.read
    taken = []

    def counting(self, n=-1):
        data = read(self, n)
        taken.append(len(data))
        return data

    monkeypatch.setattr(zipfile.ZipExtFile, "read", counting)
    with pytest.raises(ValueError, match="10,000,000 numbers"):
        PackedArrays(bomb).vector("zeros", ("|u1",), 100, 100)
    assert sum(taken) < 2**16


@pytest.mark.parametrize("cut", [0, 10, 100, -1])
def test_a_file_that_is_cut_short_is_refused(cut):
    with pytest.raises(ValueError, match="it is no archive"):
        PackedArrays(packed(VECTORS)[:cut])


def test_any_changed_byte_is_found_or_changes_nothing():
    content = packed(VECTORS)
    for position in range(0, len(content), 7):
        changed = bytearray(content)
        changed[position] ^= 0x55
        try:
            arrays = PackedArrays(bytes(changed))
            arrays.only(frozenset(VECTORS))
            found = {n: arrays.vector(n, (v.dtype.str,), len(v), 0) for n, v in VECTORS.items()}
        except ValueError:
            continue
        assert all(np.array_equal(found[name], vector) for name, vector in VECTORS.items())
