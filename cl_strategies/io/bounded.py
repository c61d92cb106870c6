"""Files of a folder that others write to, too: read if they are files, and not without end."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

#: More bytes than any file has that is read as a whole.
MAX_BYTES = 2**28
_PIECE = 2**20


def read_regular(path: Path, limit: int = MAX_BYTES) -> bytes:
    """Return the content of a file of at most ``limit`` bytes.

    :raises OSError: if it is longer, or as :func:`open_regular`.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size <= limit:
            content = read_bounded(file, limit, expected=size)
            if len(content) <= limit:
                return content
    raise OSError(errno.EFBIG, f"it has more than the {limit:,} bytes allowed", str(path))


def read_bounded(file: BinaryIO, limit: int, expected: int = 0) -> bytes:
    """Return what ``file`` holds, or its first ``limit + 1`` bytes if it is longer.

    Memory is taken for what is there, not for what is allowed.

    :param expected: how long it should be. It may turn out longer: files grow, what is unpacked
        does not say, and files of the kernel say 0.
    """
    asked = min(expected, limit) + 1
    pieces = [file.read(asked)]
    length = len(pieces[0])
    while len(pieces[-1]) == asked and length <= limit:
        asked = min(_PIECE, limit + 1 - length)
        pieces.append(file.read(asked))
        length += len(pieces[-1])
    return b"".join(pieces)


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading.

    :raises OSError: if it is missing, not allowed to be read, or no regular file: a pipe would be
        waited for, and a device has no end.
    """
    file = open(path, "rb", opener=_without_waiting)  # noqa: SIM115 (the caller closes it)
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    return file


def _without_waiting(path: str, flags: int) -> int:
    """Return the open of a pipe waits for a writer, unless it is asked not to."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
