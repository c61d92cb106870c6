"""The predictions of a run on the disk: a file for each row, within a limit of bytes.

A checkpoint holds a *mark*: how many files it continues, and a SHA-256 of all. A row is written
before the checkpoint that counts it, whole or not at all, so that a process killed between the two
leaves a file too many, which is removed when the run continues.

Room for the last row is kept free. What does not fit before it is stored without confidences, or as
counts, or not at all.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cl_strategies.io.atomic import atomic_write, cannot_write
from cl_strategies.io.bounded import read_regular
from cl_strategies.io.links import check_no_link
from cl_strategies.results.predictions.manifest import RowFile
from cl_strategies.results.predictions.row import (
    HOLDS,
    INITIAL,
    PredictionRow,
    held,
    largest,
    parse_row,
    row_name,
)
from cl_strategies.results.predictions.stream import TestStream

logger = logging.getLogger(__name__)


class PredictionLog:
    """The folder ``predictions`` of one run.

    :param folder: it is not touched before :meth:`clear` or :meth:`restore`.
    :param limit: bytes of all rows together.
    :param samples: of the whole stream.
    :param experiences: likewise.
    :ivar problem: why nothing more is stored, ``""`` while something is.
    """

    def __init__(self, folder: Path, limit: int, *, samples: int, experiences: int) -> None:
        self.folder, self.limit = folder, limit
        self.samples, self.experiences = samples, experiences
        self.problem = ""
        self._files: dict[str, RowFile] = {}

    @property
    def files(self) -> list[RowFile]:
        """The rows stored so far, the initial one first."""
        return [self._files[name] for name in sorted(self._files, key=_order)]

    def clear(self) -> None:
        """Begin without a row."""
        self._files, self.problem = {}, ""
        remove(self.folder)

    def stop(self, problem: str) -> None:
        """Store nothing more, and nothing of what was."""
        self.clear()
        self.problem = problem
        logger.warning("no predictions are stored in %s: %s", self.folder, problem)

    def add(self, row: PredictionRow) -> None:
        """Store a row, or what fits of it; one that is there is replaced.

        :raises StorageError: if it cannot be written.
        """
        if self.problem:
            return
        self._files.pop(row.name, None)
        room = self.limit - sum(file.bytes for file in self._files.values()) - self._kept_free(row)
        for part in (row, row.without_confidence(), row.counts_only()):
            content = part.content()
            if len(content) <= room:
                check_no_link(self.folder)
                with atomic_write(self.folder / row.name) as file:
                    file.write(content)
                self._files[row.name] = _row_file(row.name, content, held(content))
                return
        check_no_link(self.folder)
        remove(self.folder / row.name)

    def _kept_free(self, row: PredictionRow) -> int:
        """Bytes for the last row: with confidences if the limit allows, else without."""
        if row.position + 1 == self.experiences:
            return 0
        bounds = (largest(self.samples, self.experiences, confidence=c) for c in (True, False))
        return next((bound for bound in bounds if bound <= self.limit), 0)

    def mark(self) -> dict[str, Any]:
        """Return what a checkpoint says about the rows so far: plain data of constant size."""
        digest = hashlib.sha256("".join(file.sha256 for file in self.files).encode())
        return {"problem": self.problem, "rows": len(self._files), "sha256": digest.hexdigest()}

    def restore(self, mark: Any, positions: Sequence[int]) -> None:
        """Go on from the rows of ``mark``; files beside them are removed.

        Rows that are missing or changed are no reason to train again: then nothing is stored, and
        it is said why.

        :param mark: what :meth:`mark` returned; ``None`` of a run that stored none.
        :param positions: of the rows that there may be, beside the initial one.
        """
        self._files = {}
        try:
            problem = _problem(mark)
            if not problem:
                for position in (INITIAL, *positions):
                    self._take(position)
            if not problem and self.mark() != dict(mark):
                raise ValueError("they are others than the checkpoint counts")
        except OSError as error:
            self.stop(f"a row of before cannot be read ({error.strerror or error})")
        except Exception as error:  # a checkpoint, and files, of any shape
            self.stop(f"the rows of before cannot be continued: {error}")
        else:
            if problem:
                self.stop(problem)
            else:
                self._remove_others()

    def _take(self, position: int) -> None:
        """Take a row that is there."""
        name = row_name(position)
        if not os.path.lexists(self.folder / name):
            return
        check_no_link(self.folder)
        content = read_regular(self.folder / name, self.limit)
        self._files[name] = _row_file(name, content, held(content))

    def last_row(self, stream: TestStream, order: Sequence[int]) -> PredictionRow | None:
        """Return the row of the last experience; ``None`` if it is not stored whole."""
        name = row_name(self.experiences - 1)
        if name not in self._files or self._files[name].holds != HOLDS[0]:
            return None
        content = read_regular(self.folder / name, self._files[name].bytes)
        return parse_row(content, self.experiences - 1, stream, order)

    def _remove_others(self) -> None:
        if self._files:
            for path in list(self.folder.iterdir()):
                if path.name not in self._files:
                    remove(path)
        else:
            remove(self.folder)

    def say_what_is_missing(self, rows: int) -> None:
        """Log how many of all ``rows`` the limit has cut."""
        rows_stored = [file for file in self.files if _order(file.name) != INITIAL]
        cut = [file.name for file in rows_stored if file.holds != HOLDS[0]]
        missing = rows - len(rows_stored)
        if cut or missing:
            logger.warning(
                "%s: %d rows of predictions are stored in part, and %d not at all: run.predictions "
                "allows %d bytes",
                self.folder,
                len(cut),
                missing,
                self.limit,
            )


def remove(path: Path) -> None:
    """Remove the folder of predictions, or what lies in it.

    :raises StorageError: if it cannot be removed.
    :raises UserError: if it is a link.
    """
    check_no_link(path)
    try:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from error


def _order(name: str) -> int:
    return INITIAL if name == "row_init.npz" else int(name[4:-4])


def _row_file(name: str, content: bytes, kept: str) -> RowFile:
    digest = hashlib.sha256(content).hexdigest()
    return RowFile(name=name, bytes=len(content), sha256=digest, holds=kept)


def _problem(mark: Any) -> str:
    """Return what a mark says of earlier problems.

    :raises ValueError: unless it is a mark.
    """
    if mark is None:
        raise ValueError("it was begun without storing predictions")
    if not isinstance(mark, Mapping) or not isinstance(mark.get("problem"), str):
        raise ValueError("the checkpoint does not say which they are")
    return str(mark["problem"])
