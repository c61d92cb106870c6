"""The stream contract: the attributes that every benchmark must have, and how they are tested.

The experiences of Avalanche's own benchmarks have different attributes, so that a strategy that
works on one benchmark fails on another. :func:`contract_violations` lists what a benchmark lacks;
:func:`cl_strategies.benchmarks.build_benchmark` makes one that lacks nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from cl_strategies.benchmarks.core.part_contract import part_violations

SCENARIOS = ("class", "task", "domain")


@dataclass(frozen=True, kw_only=True)
class StreamInfo:
    """What a stream is; ``benchmark.info``.

    :param name: registered name.
    :param scenario: ``"class"``: one head, global class ids; ``"task"``: task labels are known and
        class ids count from zero in each task; ``"domain"``: one head, the same ids in each task.
    :param n_classes: number of logits of a single head; in a task stream, of the largest head.
    :param input_shape: ``(C, H, W)`` of a transformed sample.
    :param task_order: ``task_order[k]`` is the original index of the task at position ``k``.
    :param task_classes: the data set's ids of the classes at each position.
    :param class_order: the data set's class ids in the order in which they were cut into tasks
        (before the tasks were reordered), or ``None`` if every task has every class.
    :param class_names: names by data set id, where they are known.
    :param has_target: whether each experience brings images of another domain, as ``unlabeled``.
    :param parts: how many parts each experience comes in, or ``None`` if it comes whole: an online
        stream has a ``train_stream`` of parts and a ``whole_stream`` of experiences.
    :param blurry: whether experiences have samples of other tasks' classes beside their own, which
        are ``task_classes``; the test stream has none.
    :param has_boxes: whether the training data sets have ``true_boxes``: for each sample the part
        ``(h0, h1, w0, w1)`` of the image before its transforms that shows its object, half-open.
    """

    name: str
    scenario: str
    n_classes: int
    input_shape: tuple[int, ...]
    task_order: tuple[int, ...]
    task_classes: tuple[tuple[int, ...], ...]
    class_order: tuple[int, ...] | None = None
    class_names: tuple[str, ...] | None = None
    has_target: bool = False
    parts: tuple[int, ...] | None = None
    blurry: bool = False
    has_boxes: bool = False

    @property
    def n_experiences(self) -> int:
        return len(self.task_order)

    @property
    def n_classes_per_experience(self) -> tuple[int, ...]:
        return tuple(len(classes) for classes in self.task_classes)


def contract_violations(benchmark: Any) -> list[str]:
    """List the ways in which ``benchmark`` breaks the stream contract, one line each.

    :param benchmark: an Avalanche benchmark.
    :returns: an empty list if strategies of this package and of Avalanche can rely on it.
    """
    info = getattr(benchmark, "info", None)
    if not isinstance(info, StreamInfo):
        return [f"benchmark.info is {type(info).__name__}, not StreamInfo"]
    lines = list(_info(info))
    learned = "train" if info.parts is None else "whole"
    streams: dict[str, Any] = {
        name: getattr(benchmark, f"{name}_stream", None) for name in (learned, "test")
    }
    for name, stream in streams.items():
        if stream is None:
            lines.append(f"there is no {name}_stream")
        elif len(stream) != info.n_experiences:
            lines.append(f"{name}: {len(stream)} experiences, info names {info.n_experiences}")
    if lines:
        return lines
    for name, stream in streams.items():
        for position, experience in enumerate(stream):
            where = f"{name} experience {position}"
            lines += [f"{where}: {line}" for line in _experience(experience, position, benchmark)]
    lines = lines or list(_across(streams[learned], streams["test"], blurry=info.blurry))
    return lines or ([] if info.parts is None else list(part_violations(benchmark)))


def _info(info: StreamInfo) -> Iterator[str]:
    if info.scenario not in SCENARIOS:
        yield f"info.scenario is {info.scenario!r}, not one of {', '.join(SCENARIOS)}"
    if sorted(info.task_order) != list(range(len(info.task_order))) or not info.task_order:
        yield f"info.task_order {info.task_order} is not a permutation of the tasks"
    if len(info.task_classes) != len(info.task_order):
        yield f"info.task_classes has {len(info.task_classes)} entries"
    if info.n_classes < 1:
        yield f"info.n_classes is {info.n_classes}"


def _experience(experience: Any, position: int, benchmark: Any) -> Iterator[str]:
    missing = [
        name
        for name in (
            "dataset",
            "benchmark",
            "origin_stream",
            "current_experience",
            "task_labels",
            "classes_in_this_experience",
        )
        if not hasattr(experience, name)
    ]
    if missing:
        yield f"has no {', '.join(missing)}"
        return
    if experience.benchmark is not benchmark:
        yield "benchmark is another benchmark"
    if experience.current_experience != position:
        yield f"current_experience is {experience.current_experience}"
    yield from _labels(experience, position, benchmark.info)
    yield from _dataset(experience.dataset, benchmark.info)


def _labels(experience: Any, position: int, info: StreamInfo) -> Iterator[str]:
    expected = info.task_order[position] if info.scenario == "task" else 0
    if experience.task_labels != [expected]:
        yield f"task_labels is {experience.task_labels!r}, expected [{expected}]"
    classes = experience.classes_in_this_experience
    if not isinstance(classes, list) or not all(type(label) is int for label in classes):
        yield f"classes_in_this_experience is a {type(classes).__name__}, not a list of int"
        return
    learned = experience.origin_stream.name != "test"
    enough = len(classes) >= len(info.task_classes[position]) and learned and info.blurry
    exact = enough or len(classes) == len(info.task_classes[position])
    if not exact or len(set(classes)) != len(classes):
        yield f"{len(classes)} classes, info names {len(info.task_classes[position])}"
    if info.scenario != "class" and sorted(classes) != list(range(len(classes))):
        yield f"class ids {classes} do not count from zero"
    if min(classes, default=0) < 0 or max(classes, default=-1) >= info.n_classes:
        yield f"class ids {classes} are not within the {info.n_classes} logits"
    for attribute, values in (
        ("targets", classes),
        ("targets_task_labels", experience.task_labels),
    ):
        found = getattr(experience.dataset, attribute, None)
        if found is None or len(found) != len(experience.dataset):
            yield f"dataset.{attribute} is missing or of another length than the data set"
        elif not set(found) <= set(values) or (learned and set(found) != set(values)):
            yield f"dataset.{attribute} holds {sorted(set(found))}, the experience names {values}"


def _dataset(dataset: Any, info: StreamInfo) -> Iterator[str]:
    if not len(dataset):
        yield "the data set is empty"
        return
    for group in ("train", "eval"):
        try:
            transformed = getattr(dataset, group)()
        except (AttributeError, AssertionError, KeyError):
            yield f"dataset.{group}() does not select a group of transforms"
            continue
        for index in (0, len(dataset) - 1):
            item = transformed[index]
            if len(item) != 3:
                yield f"a sample has {len(item)} parts, not (x, y, task label)"
                continue
            x, y, label = item
            if not torch.is_tensor(x) or not x.is_floating_point() or not x.isfinite().all():
                yield f"{group}: x is not a finite floating-point tensor"
            elif tuple(x.shape) != info.input_shape:
                yield f"{group}: x has shape {tuple(x.shape)}, info names {info.input_shape}"
            if not isinstance(y, int):
                yield f"{group}: y is a {type(y).__name__}, not an int"
            if y != dataset.targets[index] or label != dataset.targets_task_labels[index]:
                yield f"sample {index} has labels ({y}, {label}), its attributes say otherwise"


def _across(train: Any, test: Any, *, blurry: bool) -> Iterator[str]:
    seen: set[int] = set()
    for position, (learn, check) in enumerate(zip(train, test, strict=True)):
        for attribute in ("task_labels", "classes_in_this_experience"):
            here, there = getattr(learn, attribute), getattr(check, attribute)
            if here != there and not (blurry and {*there} <= {*here}):
                yield f"experience {position}: train and test differ in {attribute}"
        ids = getattr(learn.dataset, "sample_ids", None)
        if ids is None:
            yield f"train experience {position}: dataset.sample_ids is missing"
            continue
        if ids.use_in_getitem:
            yield f"train experience {position}: sample_ids would be part of a sample"
        if list(learn.dataset.subset([len(ids) - 1]).sample_ids) != [ids[len(ids) - 1]]:
            yield f"train experience {position}: sample_ids do not follow a subset"
        if len(set(ids)) != len(ids) or seen & set(ids):
            yield f"train experience {position}: sample_ids are not unique"
        seen |= set(ids)
