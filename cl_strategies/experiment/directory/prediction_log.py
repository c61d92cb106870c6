"""The predictions of a run on the disk: a file for each row, within a limit of bytes.

A checkpoint holds a *mark*: the files that it continues, with their SHA-256. A row is written
before the checkpoint that counts it, whole or not at all, so that a process killed between the two
leaves a file too many, which is removed when the run continues.

Room for the last row is kept free. What does not fit before it is stored without confidences, or as
counts, or not at all.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cl_strategies.io.atomic import atomic_write, cannot_write
from cl_strategies.io.bounded import read_regular
from cl_strategies.io.links import check_no_link
from cl_strategies.results.fields import Fields
from cl_strategies.results.predictions.manifest import HOLDS, RowFile, parse_files
from cl_strategies.results.predictions.row import (
    INITIAL,
    PredictionRow,
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
        for kept, part in zip(
            HOLDS, (row, row.without_confidence(), row.counts_only()), strict=True
        ):
            content = part.content()
            if len(content) <= room:
                check_no_link(self.folder)
                with atomic_write(self.folder / row.name) as file:
                    file.write(content)
                digest = hashlib.sha256(content).hexdigest()
                self._files[row.name] = RowFile(
                    name=row.name, bytes=len(content), sha256=digest, holds=kept
                )
                return
        (self.folder / row.name).unlink(missing_ok=True)

    def _kept_free(self, row: PredictionRow) -> int:
        """Bytes for the last row: with confidences if the limit allows, else without."""
        if row.position + 1 == self.experiences:
            return 0
        bounds = (largest(self.samples, self.experiences, confidence=c) for c in (True, False))
        return next((bound for bound in bounds if bound <= self.limit), 0)

    def mark(self) -> dict[str, Any]:
        """Return what a checkpoint says about the rows so far: plain data."""
        return {"problem": self.problem, "files": [asdict(file) for file in self.files]}

    def restore(self, mark: Any) -> None:
        """Go on from the rows of ``mark``; files beside them are removed.

        Rows that are missing or changed are no reason to train again: then nothing is stored, and
        it is said why.

        :param mark: what :meth:`mark` returned; ``None`` of a run that stored none.
        """
        try:
            problem, files = _parsed(mark)
            for file in files:
                content = read_regular(self.folder / file.name, file.bytes)
                if hashlib.sha256(content).hexdigest() != file.sha256:
                    raise ValueError(f"{file.name} is not what the checkpoint continues")
        except OSError as error:
            self.stop(f"a row of before cannot be read ({error.strerror or error})")
        except Exception as error:  # a checkpoint of any shape
            self.stop(f"the rows of before cannot be continued: {error}")
        else:
            if problem:
                self.stop(problem)
                return
            self._files = {file.name: file for file in files}
            self._remove_others()

    def last_row(self, stream: TestStream, order: Sequence[int]) -> PredictionRow | None:
        """Return the row of the last experience; ``None`` if it is not stored whole."""
        name = row_name(self.experiences - 1)
        if name not in self._files or self._files[name].holds != HOLDS[0]:
            return None
        content = read_regular(self.folder / name, self._files[name].bytes)
        return parse_row(content, self.experiences - 1, stream, order)

    def _remove_others(self) -> None:
        for path in self.folder.glob("*"):
            if path.name not in self._files:
                path.unlink(missing_ok=True)
        for path in self.folder.glob(".*"):
            path.unlink(missing_ok=True)

    def say_what_is_missing(self, rows: int) -> None:
        """Log how many of all ``rows`` the limit has cut."""
        cut = [file.name for file in self.files if file.holds != HOLDS[0]]
        missing = rows - sum(_order(file.name) != INITIAL for file in self.files)
        if cut or missing:
            logger.warning(
                "%s: %d rows of predictions are stored in part, and %d not at all: run.predictions "
                "allows %d bytes",
                self.folder,
                len(cut),
                missing,
                self.limit,
            )


def remove(folder: Path) -> None:
    """Remove a folder of predictions.

    :raises StorageError: if it cannot be removed.
    :raises UserError: if it is a link.
    """
    check_no_link(folder)
    try:
        if folder.exists():
            shutil.rmtree(folder)
    except OSError as error:
        raise cannot_write(folder, error) from error


def _order(name: str) -> int:
    return INITIAL if name == "row_init.npz" else int(name[4:-4])


def _parsed(mark: Any) -> tuple[str, list[RowFile]]:
    """:raises ValueError: unless it is a mark."""
    if mark is None:
        raise ValueError("it was begun without storing predictions")
    if not isinstance(mark, Mapping):
        raise ValueError("the checkpoint does not say which they are")
    fields = Fields(mark, "the checkpoint")
    fields.only(("problem", "files"))
    return fields.text("problem"), parse_files(fields)
