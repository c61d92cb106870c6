"""Avalanche's stream classes with every attribute that the contract names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from avalanche.benchmarks.scenarios.dataset_scenario import DatasetExperience
from avalanche.benchmarks.scenarios.generic_scenario import CLScenario, EagerCLStream

from cl_strategies.benchmarks.contract import StreamInfo


class StreamExperience(DatasetExperience):
    """One task of one stream.

    :param dataset: an Avalanche data set.
    :param position: index in the stream.
    :param task_label: the only task label of its samples.
    :param timeline: the labels of the classes at every position of the stream.
    """

    def __init__(
        self, *, dataset: Any, position: int, task_label: int, timeline: Sequence[list[int]]
    ) -> None:
        super().__init__(dataset=dataset, current_experience=position)
        self.benchmark: StreamBenchmark
        self.task_label = task_label
        self.task_labels = [task_label]
        self.classes_in_this_experience = list(timeline[position])
        self.previous_classes = _union(timeline[:position])
        self.classes_seen_so_far = _union(timeline[: position + 1])
        self.future_classes = _union(timeline[position + 1 :])

    @property
    def dataset(self) -> Any:
        return self._dataset

    @dataset.setter
    def dataset(self, dataset: Any) -> None:  # some of Avalanche's plugins replace it
        self._dataset = dataset


class StreamBenchmark(CLScenario):
    """A train and a test stream of equal length, and what some of Avalanche's strategies ask for.

    :param train: experiences of the train stream.
    :param test: experiences of the test stream.
    :param info: what the stream is.
    """

    train_stream: Any
    test_stream: Any

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
