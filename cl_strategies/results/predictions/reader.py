"""The predictions of a run, read and compared with its result."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cl_strategies.errors import UserError
from cl_strategies.io.bounded import read_regular
from cl_strategies.results.predictions.manifest import (
    FOLDER,
    REMEDY,
    STREAMS,
    Manifest,
    RowFile,
    read_manifest,
)
from cl_strategies.results.predictions.row import (
    INITIAL,
    PredictionRow,
    parse_row,
    row_name,
    samples_of,
)
from cl_strategies.results.predictions.stream import Integers, TestStream, read_stream
from cl_strategies.results.record import RunRecord

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class StoredSamples:
    """The test samples of one row that are stored, one entry each (m,).

    :ivar label: classes.
    :ivar experience: position of the experience in the order of training.
    :ivar prediction: classes predicted.
    :ivar task_aware: whether the class predicted among those of the own experience is right.
    :ivar confidence: largest softmax value; ``None`` if it is not kept.
    """

    label: Integers
    experience: Integers
    prediction: Integers
    task_aware: npt.NDArray[np.bool_]
    confidence: Matrix | None


class RunPredictions:
    """The records of one run.

    :param folder: of the run.
    :param streams: where the streams of all runs lie.
    :param record: the result of the run.
    :ivar accuracy: from counts, by row and test experience (T, T), NaN where not measured; above
        the diagonal are experiences that were not trained yet.
    :ivar initial: accuracies before any training (T,), NaN where not measured.
    :ivar sizes: test samples of each experience (T,).
    :raises UserError: if there are none, they are damaged, or are not those of ``record``.
    """

    def __init__(self, folder: Path, streams: Path, record: RunRecord) -> None:
        self.folder, self.record = folder / FOLDER, record
        try:
            self.manifest: Manifest = read_manifest(self.folder)
        except FileNotFoundError as error:
            raise UserError(
                "it stored no predictions: do it again with --rerun and run.predictions above 0"
            ) from error
        if self.manifest.problem:
            raise UserError(f"it stored no predictions: {self.manifest.problem}")
        self.order = list(self.manifest.task_order)
        if self.manifest.config_hash != record.config_hash or self.order != list(record.task_order):
            raise UserError(f"{self.folder} holds the predictions of another run: {REMEDY}")
        self.stream: TestStream = read_stream(streams, self.manifest.stream)
        present = np.bincount(self.stream.experience, minlength=len(self.order))
        if len(present) != len(self.order):
            raise UserError(f"{self.folder} belongs to another stream: {REMEDY}")
        self.sizes = present[np.asarray(self.order)]
        self._files = {file.name: file for file in self.manifest.files}
        self.initial = np.full(len(self.order), np.nan)
        self.accuracy = np.full((len(self.order), len(self.order)), np.nan)
        if row_name(INITIAL) in self._files:
            self.initial = _accuracies(self.row(INITIAL))
        for position in range(len(self.order)):
            if row_name(position) in self._files:
                self.accuracy[position] = _accuracies(self.row(position))
        self._compare()

    def row(self, position: int) -> PredictionRow:
        """Read one row.

        :raises UserError: if it is not stored, or damaged.
        """
        name = row_name(position)
        file = self._files.get(name)
        if file is None:
            raise UserError(f"the row after experience {position} is not stored")
        path = self.folder / name
        try:
            content = _content(path, file)
            return parse_row(content, position, self.stream, self.order)
        except OSError as error:
            raise UserError(
                f"{path}: cannot be read ({error.strerror or error}): {REMEDY}"
            ) from None
        except ValueError as error:
            raise UserError(f"{path}: {error}: {REMEDY}") from error

    def samples(self, position: int) -> StoredSamples:
        """Return the samples of all experiences trained by then.

        :raises UserError: if some are not stored.
        """
        row = self.row(position)
        if not row.stored[: position + 1].all():
            raise UserError(
                f"the predictions after experience {position} are not stored whole: give "
                "run.predictions more bytes, or run.evaluate_every = 1"
            )
        mask = samples_of(self.stream, self.order, row.stored)
        place = np.argsort(np.asarray(self.order))
        confidence = None if row.confidence is None else row.confidence.astype(np.float64)
        return StoredSamples(
            self.stream.label[mask],
            place[self.stream.experience[mask]],
            row.prediction,
            row.task_aware,
            confidence,
        )

    def _compare(self) -> None:
        """:raises UserError: if the counts are not those of the result."""
        recorded = self.record.matrix
        if recorded.shape != self.accuracy.shape:
            raise UserError(f"{self.folder} belongs to a run that did not end: {REMEDY}")
        both = np.tril(~np.isnan(recorded) & ~np.isnan(self.accuracy))
        if (recorded[both] != self.accuracy[both]).any():
            raise UserError(
                f"{self.folder}: its predictions do not give the accuracies of the result: {REMEDY}"
            )


def read_predictions(out: Path, directory: Path, record: RunRecord) -> RunPredictions:
    """Read the predictions of a run.

    :param out: folder of the comparison.
    :param directory: of the run.
    :raises UserError: see :class:`RunPredictions`.
    """
    if os.path.islink(directory / FOLDER):
        raise UserError(f"{directory / FOLDER} is a link: put the folder itself in its place")
    return RunPredictions(directory, out / STREAMS, record)


def _content(path: Path, file: RowFile) -> bytes:
    content = read_regular(path, file.bytes)
    if len(content) != file.bytes or hashlib.sha256(content).hexdigest() != file.sha256:
        raise ValueError("it has changed since it was written")
    return content


def _accuracies(row: PredictionRow) -> Matrix:
    found = np.full(len(row.total), np.nan)
    some = row.total > 0
    found[some] = row.correct[some] / row.total[some]
    return found
