"""What was predicted after one experience: a file of plain vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from cl_strategies.io.arrays import PackedArrays, Vector, packed
from cl_strategies.results.predictions.stream import MOST_CLASSES, TestStream

#: What a row may hold, from most to least; before any training there are only counts.
HOLDS = ("all", "no confidence", "counts")
#: Position of the row before any training.
INITIAL = -1
_COUNTS = frozenset({"position", "correct", "total", "stored"})
_SAMPLES = frozenset({"prediction", "task_aware"})


@dataclass(frozen=True)
class PredictionRow:
    """One row; the vectors over samples have the order of the stream.

    :ivar position: of the experience after whose training it was measured; -1 before any.
    :ivar correct: right predictions by position of the test experience (T,), -1 where not
        evaluated.
    :ivar total: samples, likewise.
    :ivar stored: test experiences whose samples are in the vectors below (T,), by position.
    :ivar prediction: class predicted for each sample of those (m,).
    :ivar task_aware: whether the class predicted among those of its own experience is right (m,).
    :ivar confidence: largest softmax value among the classes that compete (m,), in half precision;
        ``None`` if it is not kept.
    """

    position: int
    correct: npt.NDArray[np.int64]
    total: npt.NDArray[np.int64]
    stored: npt.NDArray[np.bool_]
    prediction: npt.NDArray[np.int64]
    task_aware: npt.NDArray[np.bool_]
    confidence: npt.NDArray[np.float16] | None = None

    @property
    def name(self) -> str:
        """Name of its file."""
        return row_name(self.position)

    def without_confidence(self) -> PredictionRow:
        """Return the same, smaller."""
        return replace(self, confidence=None)

    def counts_only(self) -> PredictionRow:
        """Return the smallest part of the same."""
        return replace(
            self,
            stored=np.zeros_like(self.stored),
            prediction=self.prediction[:0],
            task_aware=self.task_aware[:0],
            confidence=None,
        )

    def content(self) -> bytes:
        """Return the file."""
        arrays: dict[str, Vector] = {
            "position": np.array([self.position], "<i4"),
            "correct": self.correct.astype("<i4"),
            "total": self.total.astype("<i4"),
            "stored": self.stored.astype("|u1"),
        }
        if self.stored.any():
            small = self.prediction.max(initial=0) < 2**8
            arrays["prediction"] = self.prediction.astype("|u1" if small else "<u2")
            arrays["task_aware"] = np.packbits(self.task_aware)
            if self.confidence is not None:
                arrays["confidence"] = self.confidence.astype("<f2")
        return packed(arrays)


def row_name(position: int) -> str:
    """Return the name of the file of a row."""
    return "row_init.npz" if position == INITIAL else f"row_{position:03}.npz"


def held(content: bytes) -> str:
    """Return how much of a row a file holds, one of :data:`HOLDS`.

    :raises ValueError: if it is no row.
    """
    names = PackedArrays(content).names
    return HOLDS[0] if "confidence" in names else HOLDS[1] if "prediction" in names else HOLDS[2]


def largest(samples: int, experiences: int, *, confidence: bool = True) -> int:
    """Return more bytes than a row with all samples of a stream ever needs."""
    each = 2 + (2 if confidence else 0)
    whole = samples * each + samples // 8 + 9 * experiences
    return whole + whole // 1000 + 2**12  # what does not compress grows by less


def parse_row(
    content: bytes, position: int, stream: TestStream, order: Sequence[int]
) -> PredictionRow:
    """Return the row in a file, checked against the stream.

    :param content: as somebody may have forged it.
    :param order: original index of the experience at each position.
    :raises ValueError: saying what is wrong.
    """
    arrays, count = PackedArrays(content), len(order)
    samples = _SAMPLES if "prediction" in arrays.names else frozenset()
    arrays.only(_COUNTS | samples, frozenset({"confidence"}) if samples else frozenset())
    if arrays.vector("position", ("<i4",), 1, 1)[0] != position:
        raise ValueError("it is another row than its name says")
    correct, total = (
        arrays.vector(name, ("<i4",), count, count).astype(np.int64)
        for name in ("correct", "total")
    )
    stored = arrays.vector("stored", ("|u1",), count, count).astype(np.bool_)
    measured = total >= 0
    sizes = np.bincount(stream.experience, minlength=count)[np.asarray(order)]
    whole = np.where(measured, sizes, -1)
    if (total != whole).any() or (correct > total).any() or (correct < -1).any():
        raise ValueError("its counts do not fit the stream")
    if (stored & ~measured).any() or bool(samples) != bool(stored.any()):
        raise ValueError("its predictions are of experiences that it does not count")
    mask = samples_of(stream, order, stored)
    length = int(mask.sum())
    none = np.zeros(0)
    prediction, aware, confidence = none.astype(np.int64), none.astype(np.bool_), None
    if samples:
        prediction = arrays.vector("prediction", ("|u1", "<u2"), length, length).astype(np.int64)
        bits = arrays.vector("task_aware", ("|u1",), -(-length // 8), length)
        aware = np.unpackbits(bits, count=length).astype(np.bool_)
        if "confidence" in arrays.names:
            confidence = arrays.vector("confidence", ("<f2",), length, length).astype(np.float16)
            if not ((confidence >= 0) & (confidence <= 1)).all():
                raise ValueError("its confidences are not in [0, 1]")
        right = prediction == stream.label[mask]
        counted = np.bincount(stream.experience[mask], right, count)[np.asarray(order)]
        if (counted[stored] != correct[stored]).any() or prediction.max(initial=0) >= MOST_CLASSES:
            raise ValueError("its predictions do not give its counts")
    return PredictionRow(position, correct, total, stored, prediction, aware, confidence)


def samples_of(
    stream: TestStream, order: Sequence[int], which: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """Return which samples (n,) belong to the test experiences ``which`` (T,), by position."""
    by_original = np.zeros(len(order), dtype=np.bool_)
    by_original[np.asarray(order)] = which
    return np.asarray(by_original[stream.experience])
