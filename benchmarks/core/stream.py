"""Avalanche's stream classes with every attribute that the contract names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, overload

from avalanche.benchmarks.scenarios.dataset_scenario import DatasetExperience
from avalanche.benchmarks.scenarios.generic_scenario import CLScenario, EagerCLStream
from avalanche.benchmarks.utils import AvalancheDataset

from cl_strategies.benchmarks.core.contract import StreamInfo


class StreamExperience(DatasetExperience):
    """One task of one stream.

    :param dataset: samples ``(x, y, task label)``.
    :param position: index in the stream.
    :param task_label: the only task label of the samples.
    :param timeline: labels of the classes at every position of the stream.
    :ivar unlabeled: images of another domain that come with it, ``(x, -1, task label)``, or
        ``None``.
    """

    def __init__(
        self,
        *,
        dataset: AvalancheDataset,
        position: int,
        task_label: int,
        timeline: Sequence[list[int]],
    ) -> None:
        super().__init__(dataset=dataset, current_experience=position)
        self.benchmark: StreamBenchmark
        self.unlabeled: AvalancheDataset | None = None
        self.task_label = task_label
        self.task_labels = [task_label]
        self.classes_in_this_experience = list(timeline[position])
        self.previous_classes = _union(timeline[:position])
        self.classes_seen_so_far = _union(timeline[: position + 1])
        self.future_classes = _union(timeline[position + 1 :])

    @property
    def dataset(self) -> AvalancheDataset:
        return self._dataset

    @dataset.setter
    def dataset(self, dataset: AvalancheDataset) -> None:  # some of Avalanche's plugins replace it
        self._dataset = dataset


class ExperienceStream(Protocol):
    """A train or a test stream: its experiences in order, and streams of some of them."""

    name: str

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[StreamExperience]: ...

    @overload
    def __getitem__(self, index: int) -> StreamExperience: ...

    @overload
    def __getitem__(self, index: slice) -> ExperienceStream: ...


class StreamBenchmark(CLScenario):
    """A train and a test stream of equal length, and what some of Avalanche's strategies ask for.

    :param train: experiences of the train stream.
    :param test: experiences of the test stream.
    :param info: name, scenario, classes and order of the stream.
    :ivar source_stream: test images of the domain that is trained on with labels, of a stream
        whose test stream is of other domains; ``None`` for all others.
    """

    source_stream: ExperienceStream | None = None
    train_stream: ExperienceStream
    test_stream: ExperienceStream

    def __repr__(self) -> str:
        info = self.info
        return (
            f"<StreamBenchmark {info.name}: {len(info.task_order)} experiences, {info.n_classes} "
            f"classes, {info.scenario}-incremental, inputs {info.input_shape}>"
        )

    def __init__(
        self,
        train: Sequence[StreamExperience],
        test: Sequence[StreamExperience],
        info: StreamInfo,
    ) -> None:
        streams = [EagerCLStream("train", list(train)), EagerCLStream("test", list(test))]
        super().__init__(streams)
        for stream in streams:
            stream.benchmark = self
        for experience in [*train, *test]:
            experience.benchmark = self
        timeline = [experience.classes_in_this_experience for experience in train]
        self.info = info
        self.n_experiences = len(train)
        self.n_classes = info.n_classes
        self.n_classes_per_exp = [len(classes) for classes in timeline]
        self.classes_order = [label for classes in timeline for label in classes]
        self.task_labels = [experience.task_labels for experience in train]


def _union(parts: Sequence[list[int]]) -> list[int]:
    return sorted({label for part in parts for label in part})
