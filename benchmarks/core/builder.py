"""From the samples of each task to a benchmark under the stream contract."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from cl_strategies.benchmarks.core.contract import StreamInfo
from cl_strategies.benchmarks.core.options import Scenario, StreamOptions
from cl_strategies.benchmarks.core.samples import Samples, as_samples
from cl_strategies.benchmarks.core.selection import permutation, stratified_rows
from cl_strategies.errors import UserError
from cl_strategies.validation.hyperparameters import hyperparameters

if TYPE_CHECKING:
    from cl_strategies.benchmarks.core.stream import StreamBenchmark

Transform = Callable[[Any], Any]
#: Those of the groups ``train`` and ``eval``, or of more groups by name.
Transforms = tuple[Transform, Transform] | Mapping[str, Transform]
#: Makes them from the samples and the rows of the first experience's training data.
FittedTransforms = Callable[[Samples, np.ndarray], Transforms]


@hyperparameters
def build_benchmark(
    train: Sequence[Any],
    test: Sequence[Any],
    *,
    name: str,
    scenario: Scenario,
    classes: Sequence[Sequence[int]] | None = None,
    transforms: Transforms | FittedTransforms | None = None,
    class_order: Sequence[int] | None = None,
    class_names: Sequence[str] | None = None,
    **options: Unpack[StreamOptions],
) -> StreamBenchmark:
    """Make a benchmark that keeps the stream contract.

    Labels: in a class-incremental stream they stay the class ids given, with task label 0; in a
    domain-incremental one a label is the index of the class within its task, with task label 0;
    in a task-incremental one it is that same index, with the original index of the task as task
    label, so that a task keeps its label in any order.

    Each data set has ``sample_ids``: original task times the size of the largest source, plus the
    row there. They are unique in a stream and the same in any order and for any fraction. Where it
    is known which part of each image shows its object, it also has ``true_boxes``.

    :param train: training samples per task, in natural order: a pair ``(x, y)`` of tensors (float
        images of shape ``(N, C, H, W)`` and integer class ids) or a data set with ``targets``.
    :param test: test samples per task, likewise.
    :param name: name of the stream.
    :param classes: class ids of each task; samples of other classes are left out. ``None``: the
        classes among its training samples.
    :param transforms: transforms of the groups ``train`` and ``eval``, or a mapping of groups; or
        a function that makes them from the training samples of the first experience: their source
        and their rows.
    :param class_order: class ids in the order in which they were cut into tasks, for
        :attr:`StreamInfo.class_order`.
    :param class_names: one name per class id, for :attr:`StreamInfo.class_names`.
    :raises UserError: for options out of range, and for tasks without samples.
    """
    if not train or len(train) != len(test):
        raise UserError(
            f"{name}: {len(train)} training and {len(test)} test tasks: give one of each per task"
        )
    if classes is not None and len(classes) != len(train):
        raise UserError(f"{name}: classes names {len(classes)} tasks, there are {len(train)}")
    sources = [as_samples(piece) for piece in train], [as_samples(piece) for piece in test]
    if classes is None:
        classes = [np.unique(source.labels).tolist() for source in sources[0]]
    tasks = [
        _Task(index, learn, check, tuple(int(label) for label in ids), scenario)
        for index, (learn, check, ids) in enumerate(zip(*sources, classes, strict=True))
    ]
    stride = max(len(source.labels) for side in sources for source in side)
    ordered = [tasks[index] for index in permutation("order", options["order"], len(tasks))]
    chosen = [task.choose(options["fraction"], options["validation"], name) for task in ordered]
    if callable(transforms):
        transforms = transforms(*chosen[0][0])

    from cl_strategies.benchmarks.core.stream import StreamBenchmark, StreamExperience

    timeline = [task.labels for task in ordered]
    streams: list[list[StreamExperience]] = [[], []]
    for side, group in enumerate(("train", "eval")):
        for position, task in enumerate(ordered):
            source, rows = chosen[position][side]
            data = task.dataset(source, rows, stride, transforms, group)
            streams[side].append(
                StreamExperience(
                    dataset=data, position=position, task_label=task.task_label, timeline=timeline
                )
            )
    info = StreamInfo(
        name=name,
        scenario=scenario,
        n_classes=1 + max(label for labels in timeline for label in labels),
        input_shape=tuple(streams[0][0].dataset.eval()[0][0].shape),
        task_order=tuple(task.index for task in ordered),
        task_classes=tuple(task.classes for task in ordered),
        class_order=None if class_order is None else tuple(class_order),
        class_names=None if class_names is None else tuple(class_names),
        has_boxes=all(hasattr(one.dataset, "true_boxes") for one in streams[0]),
    )
    return StreamBenchmark(streams[0], streams[1], info)


class _Task:
    """One task before its place in the stream is known."""

    def __init__(
        self, index: int, train: Samples, test: Samples, classes: tuple[int, ...], scenario: str
    ) -> None:
        if not classes or min(classes) < 0 or len(set(classes)) != len(classes):
            raise UserError(f"task {index} has the classes {classes}: give different ids from 0 up")
        self.index = index
        self.train = train
        self.test = test
        self.classes = classes
        self.task_label = index if scenario == "task" else 0
        self.labels = sorted(classes) if scenario == "class" else list(range(len(classes)))
        self._label_of = np.full(max(classes) + 1, -1)
        self._label_of[list(classes)] = classes if scenario == "class" else self.labels

    def choose(
        self, fraction: float, validation: float, where: str
    ) -> tuple[tuple[Samples, np.ndarray], tuple[Samples, np.ndarray]]:
        """Return training and test samples: where they come from, and which rows."""
        training, held_out = stratified_rows(
            self.train.labels,
            self.classes,
            fraction=fraction,
            validation=validation,
            where=f"{where}, task {self.index}",
            groups=getattr(self.train, "groups", None),
        )
        if validation:
            return (self.train, training), (self.train, held_out)
        rows = np.flatnonzero(np.isin(self.test.labels, self.classes))
        if not rows.size:
            raise UserError(f"{where}, task {self.index}: there is no test sample of its classes")
        return (self.train, training), (self.test, rows)

    def dataset(
        self,
        source: Samples,
        rows: np.ndarray,
        stride: int,
        transforms: Transforms | None,
        group: str,
    ) -> Any:
        """Return an Avalanche data set of ``rows`` with its attributes, ``group`` selected."""
        from avalanche.benchmarks.utils import DataAttribute
        from avalanche.benchmarks.utils.classification_dataset import (
            TaskAwareSupervisedClassificationDataset,
        )
        from avalanche.benchmarks.utils.flat_data import ConstantSequence

        labels = self._label_of[source.labels[rows]]
        task_labels = ConstantSequence(self.task_label, len(rows))
        data = TaskAwareSupervisedClassificationDataset(
            [source.dataset(rows, labels)],
            data_attributes=[
                DataAttribute(labels.tolist(), "targets"),
                DataAttribute(task_labels, "targets_task_labels", use_in_getitem=True),
                DataAttribute((self.index * stride + rows).tolist(), "sample_ids"),
                *(DataAttribute(find(rows), "true_boxes") for find in _box_finders(source)),
            ],
            transform_groups=_groups(transforms),
        )
        return data.with_transforms(group)


def _box_finders(source: Samples) -> list[Callable[[np.ndarray], Any]]:
    """Return what finds the boxes of rows, or nothing for samples without."""
    find = getattr(source, "true_boxes", None)
    return [] if find is None else [find]


def unlabeled_dataset(
    source: Samples, rows: np.ndarray, task_label: int, transforms: Transforms | None
) -> Any:
    """Return an Avalanche data set of the images in ``rows``, for training, with the label -1."""
    from avalanche.benchmarks.utils import DataAttribute
    from avalanche.benchmarks.utils.classification_dataset import (
        TaskAwareSupervisedClassificationDataset,
    )
    from avalanche.benchmarks.utils.flat_data import ConstantSequence

    none = np.full(len(rows), -1)
    task_labels = ConstantSequence(task_label, len(rows))
    data = TaskAwareSupervisedClassificationDataset(
        [source.dataset(rows, none)],
        data_attributes=[
            DataAttribute(none.tolist(), "targets"),
            DataAttribute(task_labels, "targets_task_labels", use_in_getitem=True),
        ],
        transform_groups=_groups(transforms),
    )
    return data.with_transforms("train")


def _groups(transforms: Transforms | None) -> dict[str, Transform] | None:
    if transforms is None:
        return None
    if isinstance(transforms, Mapping):
        return dict(transforms)
    return dict(zip(("train", "eval"), transforms, strict=True))
