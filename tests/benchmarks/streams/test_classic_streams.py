"""The classic streams hold what Avalanche's own hold, sample by sample, and more."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from avalanche.benchmarks import classic
from avalanche.benchmarks.datasets import TinyImagenet
from torch import Tensor
from torchvision.datasets import CIFAR10, CIFAR100
from torchvision.transforms.functional import pil_to_tensor

from cl_strategies.benchmarks import contract_violations, load
from cl_strategies.errors import DataMissingError

REVERSED = list(range(9, -1, -1))


def keyed(dataset: Any) -> list[tuple[int, int, bytes]]:
    """Samples in an order that does not depend on how a stream sorts them."""
    items = (dataset[index] for index in range(len(dataset)))
    return sorted((int(y), int(label), x.numpy().tobytes()) for x, y, label in items)


def assert_same(ours: Any, theirs: Any) -> None:
    for stream in ("train_stream", "test_stream"):
        pairs = list(zip(getattr(ours, stream), getattr(theirs, stream), strict=True))
        assert pairs
        for mine, other in pairs:
            assert keyed(mine.dataset.eval()) == keyed(other.dataset.eval())
            assert mine.task_labels == other.task_labels
            assert set(mine.classes_in_this_experience) == set(other.classes_in_this_experience)


@pytest.fixture
def unchecked_cifar(monkeypatch: pytest.MonkeyPatch) -> None:
    """torchvision compares checksums with those of the published files; ours are small ones."""
    for kind in (CIFAR10, CIFAR100):
        for files in ("train_list", "test_list"):
            monkeypatch.setattr(kind, files, [[name, None] for name, _ in getattr(kind, files)])
        monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": None})


@pytest.mark.parametrize("scenario", ["class", "task"])
def test_split_mnist_is_avalanches(scenario: str, data_root: str) -> None:
    ours = load("split-mnist", scenario=scenario, class_order=REVERSED, data_root=data_root)
    task = scenario == "task"
    theirs = classic.SplitMNIST(
        5,
        fixed_class_order=REVERSED,
        return_task_id=task,
        class_ids_from_zero_in_each_exp=task,
        dataset_root=data_root,
    )
    assert_same(ours, theirs)


def test_split_mnist_can_stay_in_the_unit_interval(data_root: str) -> None:
    plain = load("split-mnist", normalize=False, data_root=data_root).train_stream[0].dataset
    scaled = load("split-mnist", data_root=data_root).train_stream[0].dataset
    assert 0 <= plain[0][0].min() <= plain[0][0].max() <= 1
    torch.testing.assert_close(scaled[0][0], (plain[0][0] - 0.1307) / 0.3081)


def test_permuted_mnist_has_avalanches_permutations_on_request(data_root: str) -> None:
    ours = load(
        "permuted-mnist",
        n_experiences=3,
        stream_seed=5,
        identity_first=False,
        data_root=data_root,
    )
    assert_same(ours, classic.PermutedMNIST(3, seed=5, dataset_root=data_root))


@pytest.mark.parametrize("scenario", ["class", "task"])
def test_split_cifar10_is_avalanches(scenario: str, data_root: str, unchecked_cifar: None) -> None:
    ours = load("split-cifar10", scenario=scenario, class_order=REVERSED, data_root=data_root)
    task = scenario == "task"
    theirs = classic.SplitCIFAR10(
        5,
        fixed_class_order=REVERSED,
        return_task_id=task,
        class_ids_from_zero_in_each_exp=task,
        dataset_root=data_root,
    )
    assert_same(ours, theirs)


def test_split_cifar100_is_avalanches(data_root: str, unchecked_cifar: None) -> None:
    order = list(reversed(range(100)))
    ours = load("split-cifar100", class_order=order, data_root=data_root)
    theirs = classic.SplitCIFAR100(10, fixed_class_order=order, dataset_root=data_root)
    assert_same(ours, theirs)
    assert ours.info.n_classes == 100


def test_split_cifar10_100_is_avalanches(data_root: str, unchecked_cifar: None) -> None:
    order = list(reversed(range(100)))
    ours = load("split-cifar10-100", class_order=order, data_root=data_root)
    theirs = classic.SplitCIFAR110(
        11,
        fixed_class_order=order,
        dataset_root_cifar10=data_root,
        dataset_root_cifar100=data_root,
    )
    assert_same(ours, theirs)
    assert ours.info.n_classes == 110
    assert ours.info.class_names is not None
    assert ours.info.class_names[10] == "hundred0"


def test_split_tiny_imagenet_is_avalanches_but_for_the_normalization(data_root: str) -> None:
    order = list(reversed(range(200)))
    ours = load("split-tiny-imagenet", class_order=order, n_experiences=5, data_root=data_root)
    transform = ours.train_stream[0].dataset.eval()._flat_data._transform_groups["eval"]
    theirs = classic.SplitTinyImageNet(
        5,
        fixed_class_order=order,
        eval_transform=transform.transforms[0],
        dataset_root=data_root,
    )
    assert_same(ours, theirs)


def test_tiny_imagenet_is_normalized_with_its_own_statistics(data_root: str) -> None:
    dataset = load("split-tiny-imagenet", data_root=data_root).test_stream[0].dataset
    raw = TinyImagenet(data_root, train=False, download=False)
    x: Tensor = pil_to_tensor(raw[0][0]) / 255
    mean, deviation = (
        torch.tensor(value).view(3, 1, 1)
        for value in ((0.4802, 0.4481, 0.3975), (0.2770, 0.2691, 0.2821))
    )
    torch.testing.assert_close(dataset[0][0], (x - mean) / deviation)


@pytest.mark.parametrize(
    ("name", "factory"), [("split-cifar10", "SplitCIFAR10"), ("split-cifar100", "SplitCIFAR100")]
)
def test_training_images_are_augmented_as_avalanche_does(
    name: str, factory: str, data_root: str, unchecked_cifar: None
) -> None:
    mine = load(name, n_experiences=1, data_root=data_root).train_stream[0].dataset
    other = getattr(classic, factory)(1, shuffle=False, dataset_root=data_root)
    theirs = other.train_stream[0].dataset
    row = keyed_position(theirs, mine.eval()[0][0])
    torch.manual_seed(3)
    first = mine[0][0]
    torch.manual_seed(3)
    assert torch.equal(first, theirs[row][0])
    assert not torch.equal(first, mine.eval()[0][0])


def keyed_position(dataset: Any, x: Tensor) -> int:
    evaluated = dataset.eval()
    return next(i for i in range(len(evaluated)) if torch.equal(evaluated[i][0], x))


@pytest.mark.parametrize(
    ("name", "n_experiences", "sizes"),
    [
        ("split-mnist", 3, (4, 3, 3)),
        ("split-cifar10", 4, (3, 3, 2, 2)),
        ("split-cifar100", 7, (15, 15, 14, 14, 14, 14, 14)),
        ("split-cifar10-100", 4, (10, 34, 33, 33)),
        ("split-tiny-imagenet", 3, (67, 67, 66)),
    ],
)
@pytest.mark.parametrize("scenario", ["class", "task", "domain"])
def test_any_number_of_tasks_is_possible_and_drops_no_class(
    name: str, n_experiences: int, sizes: tuple[int, ...], scenario: str, data_root: str
) -> None:
    benchmark = load(name, n_experiences=n_experiences, scenario=scenario, data_root=data_root)
    assert benchmark.info.n_classes_per_experience == sizes
    classes = [label for task in benchmark.info.task_classes for label in task]
    assert sorted(classes) == list(range(sum(sizes)))
    assert benchmark.info.n_classes == (sum(sizes) if scenario == "class" else max(sizes))
    assert contract_violations(benchmark) == []


def test_missing_data_are_never_downloaded(
    nothing_installed: Path, refuse_network: Callable[[], int]
) -> None:
    for name in (
        "split-mnist",
        "permuted-mnist",
        "split-cifar10",
        "split-cifar100",
        "split-cifar10-100",
        "split-tiny-imagenet",
        "split-fashion-mnist",
    ):
        with pytest.raises(DataMissingError, match="cl-strategies datasets fetch"):
            load(name, data_root=str(nothing_installed))
    assert refuse_network() == 0
