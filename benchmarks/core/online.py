"""Online streams: experiences that come in small parts, one after the other.

The parts are Avalanche's ``OnlineCLExperience``, as ``split_online_stream`` makes them, with the
attributes of the stream contract. Unlike there, the order of the samples comes from frozen random
numbers, the stream has a length and can be sliced, and the last part says that it is the last.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from avalanche.benchmarks.scenarios.generic_scenario import EagerCLStream, SequenceCLStream
from avalanche.benchmarks.scenarios.online import OnlineCLExperience

from cl_strategies.benchmarks.core.contract import StreamInfo
from cl_strategies.benchmarks.core.stream import (
    ExperienceStream,
    StreamBenchmark,
    StreamExperience,
)


class OnlinePart(OnlineCLExperience):  # type: ignore[type-arg]
    """A few samples of one experience.

    :param whole: the experience that it is a part of.
    :param rows: of its data set, in the order in which they come.
    :param flags: Avalanche's description of the part, which strategies see if
        ``access_task_boundaries`` is set.
    """

    benchmark: StreamBenchmark
    previous_classes: list[int]
    classes_seen_so_far: list[int]
    future_classes: list[int]
    dataset = StreamExperience.dataset  # some of Avalanche's plugins replace it

    def __init__(self, whole: StreamExperience, rows: npt.NDArray[np.int64], **flags: Any) -> None:
        data = whole.dataset.subset(rows.tolist())
        super().__init__(dataset=data, origin_experience=whole, **flags)
        self.task_label = whole.task_label
        self.task_labels = [whole.task_label]
        self.classes_in_this_experience = sorted({int(label) for label in data.targets})


class PartStream(SequenceCLStream[OnlinePart]):
    """The parts of all experiences, each made when it is asked for.

    :param benchmark: whose ``whole_stream`` is cut.
    :param rows: of each experience, in the order in which they come.
    :param size: samples in a part.
    :param boundaries: whether strategies are told what the experience of a part is.
    """

    benchmark: OnlineBenchmark

    def __init__(
        self,
        benchmark: OnlineBenchmark,
        rows: Sequence[npt.NDArray[np.int64]],
        size: int,
        boundaries: bool,
        slice_ids: Iterable[int] | None = None,
        spans: Mapping[int, tuple[int, int]] | None = None,
    ) -> None:
        self._rows, self._size, self._boundaries = rows, size, boundaries
        #: Position of the first part of each experience, and the number of parts in the end.
        self.starts = [0, *np.cumsum([-(-len(few) // size) for few in rows]).tolist()]
        self._spans = self._class_spans(benchmark) if spans is None else spans
        super().__init__("train", benchmark, slice_ids=slice_ids)

    def _class_spans(self, benchmark: OnlineBenchmark) -> dict[int, tuple[int, int]]:
        """Positions of the first and the last part that have each class."""
        spans: dict[int, tuple[int, int]] = {}
        for experience, rows, start in zip(
            benchmark.whole_stream, self._rows, self.starts, strict=False
        ):
            targets = np.asarray(list(experience.dataset.targets), dtype=np.int64)[rows]
            for label in np.unique(targets).tolist():
                found = start + np.flatnonzero(targets == label) // self._size
                first, _ = spans.get(label, (int(found[0]), 0))
                spans[label] = first, int(found[-1])
        return spans

    def _full_length(self) -> int:
        return int(self.starts[-1])

    def _make_experience(self, experience_idx: int) -> OnlinePart:
        whole = bisect_right(self.starts, experience_idx) - 1
        place = experience_idx - self.starts[whole]
        count = self.starts[whole + 1] - self.starts[whole]
        part = OnlinePart(
            self.benchmark.whole_stream[whole],
            self._rows[whole][place * self._size : (place + 1) * self._size],
            is_first_subexp=place == 0,
            is_last_subexp=place == count - 1,
            sub_stream_length=count,
            access_task_boundaries=self._boundaries,
        )
        part.benchmark = self.benchmark
        spans = sorted(self._spans.items())
        part.previous_classes = [c for c, (first, _) in spans if first < experience_idx]
        part.classes_seen_so_far = [c for c, (first, _) in spans if first <= experience_idx]
        part.future_classes = [c for c, (_, last) in spans if last > experience_idx]
        return part

    def _make_slice(self, experience_slice: Sequence[int] | None) -> PartStream:
        return PartStream(
            self.benchmark,
            self._rows,
            self._size,
            self._boundaries,
            slice_ids=experience_slice,
            spans=self._spans,
        )


class OnlineBenchmark(StreamBenchmark):
    """A train stream of parts, and a test stream with an experience for each whole one.

    :param whole: the experiences that are cut.
    :param test: experiences of the test stream.
    :param info: name, scenario, classes and order of the stream, and how many parts it has.
    :param cut: the rows of each experience in the order in which they come, the size of a part,
        and whether strategies are told what the experience of a part is.
    :ivar whole_stream: the experiences as they are before they are cut: for joint training, and
        for what is measured over a whole experience.
    """

    whole_stream: ExperienceStream

    def __init__(
        self,
        whole: Sequence[StreamExperience],
        test: Sequence[StreamExperience],
        info: StreamInfo,
        cut: tuple[Sequence[npt.NDArray[np.int64]], int, bool],
    ) -> None:
        super().__init__(whole, test, info)
        self.whole_stream = EagerCLStream("whole", list(whole), self)
        self.train_stream = stream = PartStream(self, *cut)
        self._starts = stream.starts
        self._streams |= {"train": self.train_stream, "whole": self.whole_stream}

    def parts_of(self, position: int) -> ExperienceStream:
        """Return the parts of the experience at ``position``, as a slice of the train stream."""
        return self.train_stream[self._starts[position] : self._starts[position + 1]]
