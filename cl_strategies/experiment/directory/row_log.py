"""The rows of a run on the disk: a line for each experience, appended and never written again.

A checkpoint does not repeat the rows. It holds a *mark*: how many lines it continues, their bytes
and their SHA-256. A line is synced before the checkpoint that counts it, so that a process killed
between the two leaves a line too many, which is cut off when the run continues.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cl_strategies.errors import UserError
from cl_strategies.experiment.directory.rows import checked_rows
from cl_strategies.io.atomic import atomic_write, cannot_write
from cl_strategies.io.bounded import read_regular
from cl_strategies.results.checksum import sealed, unsealed
from cl_strategies.results.json_text import decoded

_MARK = ("bytes", "rows", "sha256")


class RowLog:
    """``metrics.jsonl`` of one run.

    :param path: the file; it is not touched before :meth:`clear` or :meth:`restore`.
    :ivar rows: what it holds.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._forget()

    def _forget(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self._bytes, self._hash = 0, hashlib.sha256()

    def clear(self) -> None:
        """Begin without a row."""
        self._forget()
        self._replace(b"")

    def append(self, row: dict[str, Any]) -> None:
        """One more line, which carries a checksum, on the disk when this returns.

        :raises StorageError: if it cannot be written.
        """
        line = f"{json.dumps(sealed(row))}\n".encode()
        try:
            with self.path.open("ab") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise cannot_write(self.path, error) from error
        self._add(row, line)

    def mark(self) -> dict[str, Any]:
        """Return what a checkpoint says about the rows so far: plain data of constant size."""
        return {"bytes": self._bytes, "rows": len(self.rows), "sha256": self._hash.hexdigest()}

    def restore(self, mark: Any, experiences: int) -> None:
        """Go on from the lines that ``mark`` counts; later ones are cut off.

        :param mark: what :meth:`mark` returned; somebody may have written it by hand.
        :param experiences: in the whole stream.
        :raises FileNotFoundError: if there is no such file.
        :raises ValueError: for a mark that is none.
        :raises UserError: if the lines are others, fewer, or not the rows of such a stream.
        """
        if not isinstance(mark, Mapping) or sorted(mark) != list(_MARK):
            raise ValueError("it does not say which rows it continues")
        try:
            content = read_regular(self.path)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise self._unfit(f"cannot be read ({error.strerror or error})") from error
        size = mark["bytes"]
        if type(size) is not int or not 0 < size <= len(content):
            raise self._unfit(f"has {len(content)} bytes of the {size} that the checkpoint counts")
        kept = content[:size]
        if hashlib.sha256(kept).hexdigest() != mark["sha256"]:
            raise self._unfit("holds other rows than those that the checkpoint continues")
        lines = kept.splitlines(keepends=True)
        try:
            rows = checked_rows([unsealed(decoded(line))[0] for line in lines], experiences)
            if len(rows) != mark["rows"]:
                raise ValueError(f"it has {len(rows)} rows")
        except Exception as error:  # it is whole, so someone has made it so; of any shape
            raise self._unfit(f"does not fit this run ({type(error).__name__}: {error})") from error
        self._forget()
        for row, line in zip(rows, lines, strict=True):
            self._add(row, line)
        if len(content) > size:
            self._replace(kept)

    def _add(self, row: dict[str, Any], line: bytes) -> None:
        self.rows.append(row)
        self._bytes += len(line)
        self._hash.update(line)

    def _replace(self, content: bytes) -> None:
        with atomic_write(self.path) as file:
            file.write(content)

    def _unfit(self, what: str) -> UserError:
        return UserError(
            f"{self.path} {what}: delete it, and the run starts again from its first experience"
        )
