"""Files that are there whole or not at all, whenever the power goes."""

from __future__ import annotations

import errno
import os
import random
import string
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from cl_strategies.errors import StorageError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_RANDOM = random.SystemRandom()
_LETTERS = string.ascii_lowercase + string.digits
_NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP)  # what some network file systems answer


@contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file beside ``path``; on success sync it and rename it to ``path``.

    :raises StorageError: if it cannot be written: no right to, no room, no such folder.
        ``path`` is then as it was.
    """
    name = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = _create(path.parent, temporary_prefix(path.name))
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
        _sync_folder(path.parent)
    except BaseException as error:
        if name:
            with suppress(OSError):
                Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise cannot_write(path, error) from error
        raise


def _create(folder: Path, prefix: str) -> tuple[int, str]:
    """Return a new file with a random name, open for writing, with the mode that the umask
    leaves."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    while True:
        name = str(folder / f"{prefix}{''.join(_RANDOM.choices(_LETTERS, k=8))}")
        try:
            return os.open(name, flags, 0o666), name
        except FileExistsError:
            continue


def write_text(path: Path, text: str) -> None:
    """Replace ``path`` by ``text`` (UTF-8), atomically."""
    with atomic_write(path) as file:
        file.write(text.encode())


def temporary_prefix(name: str) -> str:
    """Return how the temporary files of ``name`` begin; a process that is killed leaves one
    behind."""
    return f".{name}."


def cannot_write(path: Path, error: OSError) -> StorageError:
    """Return the same thing said to a person."""
    remedy = (
        "make room, and the same command continues"
        if error.errno in _FULL
        else "choose another folder or free this one"
    )
    return StorageError(f"cannot write {path}: {error.strerror or error}; {remedy}")


def _sync_folder(folder: Path) -> None:
    if hasattr(os, "O_DIRECTORY"):  # a rename is lasting once its folder is synced
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in _NO_FOLDER_SYNC:
                raise
        finally:
            os.close(descriptor)
