"""The test samples of a stream: written once for all runs on it, named by their content."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cl_strategies.errors import UserError
from cl_strategies.io.arrays import PackedArrays, packed
from cl_strategies.io.atomic import atomic_write
from cl_strategies.io.bounded import read_regular

Integers = npt.NDArray[np.int64]
#: Test samples that records may be of, and the largest class.
MOST_SAMPLES, MOST_CLASSES = 2**24, 2**16
_FORM = re.compile(r"[0-9a-f]{32}")
_KINDS = {"label": "<u2", "experience": "<u2", "sample": "<u4"}


@dataclass(frozen=True)
class TestStream:
    """Labels and names of the test samples (n,), by original experience and then by sample.

    :ivar label: class of each.
    :ivar experience: original index of its experience, whatever the order of training.
    :ivar sample: its place in the test set of that experience.
    """

    label: Integers
    experience: Integers
    sample: Integers

    __test__ = False  # the name is no test's

    @classmethod
    def of(cls, labels: Sequence[Integers], task_order: Sequence[int]) -> TestStream:
        """Put test sets together.

        :param labels: of the experience at each position.
        :param task_order: original index of the experience at each position.
        :raises ValueError: if there are too many samples or classes.
        """
        place = np.argsort(np.asarray(task_order), kind="stable")
        parts = [np.asarray(labels[k], dtype=np.int64) for k in place]
        sizes = [len(part) for part in parts]
        label = np.concatenate(parts) if parts else np.zeros(0, np.int64)
        if len(label) > MOST_SAMPLES or len(parts) > MOST_CLASSES:
            raise ValueError(f"the stream has more than {MOST_SAMPLES:,} test samples")
        if label.min(initial=0) < 0 or label.max(initial=0) >= MOST_CLASSES:
            raise ValueError(f"labels are not between 0 and {MOST_CLASSES - 1:,}")
        return cls(
            label,
            np.repeat(np.arange(len(parts)), sizes),
            np.concatenate([np.arange(size) for size in sizes]),
        )

    @property
    def hash(self) -> str:
        """32 hexadecimal digits that follow from the content."""
        digest = hashlib.sha256()
        for name, kind in _KINDS.items():
            digest.update(getattr(self, name).astype(kind).tobytes())
        return digest.hexdigest()[:32]

    def write(self, folder: Path) -> None:
        """Write the file, unless it is there.

        :raises StorageError: if it cannot be written.
        """
        path = folder / file_name(self.hash)
        if not os.path.lexists(path):
            content = packed({name: getattr(self, name).astype(k) for name, k in _KINDS.items()})
            with atomic_write(path) as file:
                file.write(content)


def file_name(stream_hash: str) -> str:
    """Return the name of a stream's file."""
    return f"stream-{stream_hash}.npz"


def read_stream(folder: Path, stream_hash: str) -> TestStream:
    """Read what :meth:`TestStream.write` wrote.

    :raises UserError: if it is missing, damaged, or of another content than its name says.
    """
    if not _FORM.fullmatch(stream_hash):
        raise UserError(f"{stream_hash!r} is not the name of a stream: {_REMEDY}")
    path = folder / file_name(stream_hash)
    try:
        arrays = PackedArrays(read_regular(path))
        arrays.only(frozenset(_KINDS))
        first = arrays.vector("label", ("<u2",), None, MOST_SAMPLES)
        columns = [
            arrays.vector(name, (kind,), len(first), len(first)).astype(np.int64)
            for name, kind in _KINDS.items()
        ]
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error}): {_REMEDY}") from error
    except ValueError as error:
        raise UserError(f"{path}: {error}: {_REMEDY}") from error
    stream = TestStream(*columns)
    if stream.hash != stream_hash:
        raise UserError(f"{path}: its samples are not those that its name stands for: {_REMEDY}")
    return stream


_REMEDY = "restore it from a copy, or delete it and do a run on this stream again with --rerun"
