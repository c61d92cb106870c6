"""Split streams: which classes stand where, under which labels."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from sklearn.datasets import load_digits

from cl_strategies.benchmarks import load, split_digits, split_fashion_mnist


def data_set_ids(experience: Any, info: Any, position: int) -> list[int]:
    """The data set's class id of each sample, whatever label the stream gives it."""
    if info.scenario == "class":
        return list(experience.dataset.targets)
    return [info.task_classes[position][label] for label in experience.dataset.targets]


@pytest.mark.parametrize("scenario", ["class", "task", "domain"])
@pytest.mark.parametrize("n_experiences", [1, 3, 5, 10])
def test_no_class_and_no_sample_is_dropped(scenario: str, n_experiences: int) -> None:
    benchmark = split_digits(n_experiences=n_experiences, scenario=scenario)  # type: ignore[arg-type]
    sizes = [len(classes) for classes in benchmark.info.task_classes]
    assert sum(sizes) == 10
    assert max(sizes) - min(sizes) <= 1
    assert sizes == sorted(sizes, reverse=True)
    seen = []
    for stream in (benchmark.train_stream, benchmark.test_stream):
        for position, experience in enumerate(stream):
            seen += data_set_ids(experience, benchmark.info, position)
    assert sorted(seen) == sorted(load_digits().target.tolist())


def test_digits_are_split_into_training_and_test_by_class_without_overlap() -> None:
    benchmark = split_digits(n_experiences=1)
    train, test = (stream[0].dataset for stream in (benchmark.train_stream, benchmark.test_stream))
    assert (len(train), len(test)) == (1438, 359)
    assert {
        label: count / (train.targets.count[label] + count)
        for label, count in test.targets.count.items()
    } == pytest.approx(dict.fromkeys(range(10), 0.2), abs=0.005)
    everything = torch.cat([torch.stack([item[0] for item in part]) for part in (train, test)])
    assert everything.dtype == torch.float32
    assert (everything.min(), everything.max()) == (0, 1)
    images = torch.from_numpy(load_digits().images / 16).float()
    assert torch.equal(
        everything.flatten(1).sum(1).sort().values, images.flatten(1).sum(1).sort().values
    )


def test_class_incremental_labels_are_the_data_sets_ids() -> None:
    benchmark = split_digits(n_experiences=3, class_order=[9, 8, 7, 6, 5, 4, 3, 2, 1, 0])
    assert benchmark.info.task_classes == ((9, 8, 7, 6), (5, 4, 3), (2, 1, 0))
    assert benchmark.info.n_classes == 10
    assert [e.classes_in_this_experience for e in benchmark.train_stream] == [
        [6, 7, 8, 9],
        [3, 4, 5],
        [0, 1, 2],
    ]
    assert benchmark.train_stream[1].previous_classes == [6, 7, 8, 9]
    assert benchmark.train_stream[1].classes_seen_so_far == [3, 4, 5, 6, 7, 8, 9]
    assert benchmark.train_stream[1].future_classes == [0, 1, 2]


@pytest.mark.parametrize("scenario", ["task", "domain"])
def test_other_labels_count_from_zero_in_the_order_of_the_classes(scenario: str) -> None:
    benchmark = split_digits(n_experiences=3, class_order=6, scenario=scenario)  # type: ignore[arg-type]
    reference = split_digits(n_experiences=3, class_order=6)
    assert benchmark.info.n_classes == 4
    assert benchmark.info.class_order == reference.info.class_order
    assert sorted(reference.info.class_order or ()) == list(range(10))
    for position, experience in enumerate(benchmark.train_stream):
        assert experience.task_labels == [position if scenario == "task" else 0]
        assert data_set_ids(experience, benchmark.info, position) == list(
            reference.train_stream[position].dataset.targets
        )


def test_samples_are_read_as_tensor_int_and_task_label_in_both_transform_groups() -> None:
    dataset = split_digits(scenario="task").train_stream[2].dataset
    for group in (dataset.train(), dataset.eval()):
        x, y, label = group[0]
        assert (x.dtype, tuple(x.shape), type(y), label) == (torch.float32, (1, 8, 8), int, 2)


def test_sample_ids_survive_subset_and_concatenation() -> None:
    stream = split_digits().train_stream
    first, second = (stream[position].dataset.subset([5, 1]) for position in (0, 3))
    joined = first.concat(second)
    expected = [stream[position].dataset.sample_ids[row] for position in (0, 3) for row in (5, 1)]
    assert list(joined.sample_ids) == expected
    assert len(joined[0]) == 3


def test_fashion_mnist_is_scaled_to_the_unit_interval_and_named(data_root: str) -> None:
    benchmark = split_fashion_mnist(data_root=data_root)
    assert benchmark.info.input_shape == (1, 28, 28)
    assert benchmark.info.class_names is not None
    assert benchmark.info.class_names[9] == "Ankle boot"
    x = torch.stack([item[0] for item in benchmark.train_stream[0].dataset])
    assert x.min() == 0
    assert x.max() == 1


def test_tensors_can_be_sliced_from_the_leaf_of_every_tensor_stream(data_root: str) -> None:
    for name in ("split-digits", "permuted-fashion-mnist", "rotated-digits", "split-mnist"):
        experience = load(name, n_experiences=2, data_root=data_root, order=[1, 0]).train_stream[0]
        leaf = experience.dataset._flat_data._datasets[0]
        while not hasattr(leaf, "tensors"):
            leaf = leaf._datasets[0]
        x, y = leaf.tensors
        assert (x.dtype, y.dtype) == (torch.float32, torch.int64)
        assert y.tolist() == list(experience.dataset.targets)
        assert torch.equal(x[4], experience.dataset[4][0])
