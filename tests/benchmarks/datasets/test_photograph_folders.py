"""Food-101 and ImageNet from disk, and the papers' protocols."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchvision import transforms as tv

from cl_strategies.benchmarks import load
from cl_strategies.benchmarks.core.protocols import classes_of_tasks
from cl_strategies.errors import DataMissingError, UserError

GOLDEN = Path(__file__).parents[2] / "golden" / "cim" / "author_class_order_1993.npz"


def paths(benchmark: Any, stream: str = "train_stream") -> list[str]:
    found = []
    for experience in getattr(benchmark, stream):
        data = experience.dataset._flat_data
        while hasattr(data, "_datasets"):
            (data,) = data._datasets
        found += [str(path) for path in data.paths]
    return found


@pytest.mark.parametrize(
    ("classes", "n", "protocol", "sizes"),
    [
        (101, 10, "scratch", [11] + [10] * 9),
        (101, 5, "scratch", [21] + [20] * 4),
        (101, 20, "scratch", [6] + [5] * 19),
        (101, 25, "half", [51] + [2] * 25),
        (100, 5, "half", [50] + [10] * 5),
        (1000, 10, "scratch", [100] * 10),
    ],
)
def test_tasks_are_those_of_the_papers(
    classes: int, n: int, protocol: str, sizes: list[int]
) -> None:
    tasks = classes_of_tasks(range(classes), n, protocol)
    assert [len(task) for task in tasks] == sizes
    assert [label for task in tasks for label in task] == list(range(classes))


@pytest.mark.parametrize("name", ["split-cifar100", "imagenet-100", "food-101"])
def test_learning_from_half_in_the_order_of_the_papers(name: str, data_root: str) -> None:
    options = {"class_order": 1993} if name == "split-cifar100" else {}
    benchmark = load(name, protocol="half", n_experiences=5, data_root=data_root, **options)
    expected = np.load(GOLDEN)["order101" if name == "food-101" else "order100"]
    assert benchmark.info.class_order == tuple(expected.tolist())
    first = benchmark.train_stream[0].classes_in_this_experience
    assert first == sorted(expected[: (len(expected) + 1) // 2].tolist())
    assert len(benchmark.train_stream) == 6


def test_tiny_imagenet_has_the_protocols_too(data_root: str) -> None:
    benchmark = load("split-tiny-imagenet", protocol="half", n_experiences=10, data_root=data_root)
    assert [len(e.classes_in_this_experience) for e in benchmark.train_stream] == [100] + [10] * 10


def test_food_101_has_the_split_and_the_order_that_it_is_published_with(data_root: str) -> None:
    benchmark = load("food-101", data_root=data_root)
    lines = (Path(data_root) / "food-101" / "meta" / "test.txt").read_text().split()
    found = [str(Path(p).relative_to(Path(data_root) / "food-101" / "images")) for p in
             paths(benchmark, "test_stream")]  # fmt: skip
    assert sorted(found) == sorted(f"{line}.jpg" for line in lines)
    assert benchmark.info.class_names == tuple(f"dish_{number:03}" for number in range(101))
    for path, label in zip(
        paths(benchmark),
        [label for e in benchmark.train_stream for label in e.dataset.targets],
        strict=True,
    ):
        assert Path(path).parent.name == f"dish_{label:03}"


def test_imagenet_100_is_the_subset_of_seed_1993(data_root: str) -> None:
    everything = load("imagenet-1000", data_root=data_root)
    names = sorted(everything.info.class_names)
    assert list(everything.info.class_names) == names and len(names) == 1000
    hundred = load("imagenet-100", data_root=data_root)
    generator = np.random.RandomState(1993)
    assert hundred.info.class_names == tuple(sorted(generator.choice(names, 100, replace=False)))
    assert {Path(p).parent.name for p in paths(hundred)} == set(hundred.info.class_names)
    assert len(paths(hundred)) == 200 and len(paths(hundred, "test_stream")) == 100


def test_a_folder_of_a_hundred_classes_is_taken_as_it_is(data_root: str, tmp_path: Path) -> None:
    source = Path(data_root) / "imagenet"
    chosen = sorted(folder.name for folder in (source / "train").iterdir())[7:107]
    for part in ("train", "val"):
        for name in chosen:
            shutil.copytree(source / part / name, tmp_path / "imagenet-100" / part / name)
    benchmark = load("imagenet-100", data_root=str(tmp_path))
    assert benchmark.info.class_names == tuple(chosen)
    shutil.rmtree(tmp_path / "imagenet-100" / "val" / chosen[3])
    with pytest.raises(DataMissingError, match=f"{chosen[3]} cannot be read"):
        load("imagenet-100", data_root=str(tmp_path))
    shutil.rmtree(tmp_path / "imagenet-100" / "train" / chosen[5])
    with pytest.raises(DataMissingError, match="99 folders, expected one for each of 100"):
        load("imagenet-100", data_root=str(tmp_path))


def test_transforms_are_the_papers(data_root: str) -> None:
    dataset = load("imagenet-100", data_root=data_root).train_stream[0].dataset
    raw = dataset.train().remove_current_transform_group()[1][0]
    last = [tv.ToTensor(), tv.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))]
    expected = {
        "train": [tv.RandomResizedCrop(224), tv.RandomHorizontalFlip(), tv.ColorJitter(63 / 255)],
        "eval": [tv.Resize(256), tv.CenterCrop(224)],
        "cam": [tv.Resize((224, 224))],
    }
    for group, transforms in expected.items():
        torch.manual_seed(4)
        ours = dataset.with_transforms(group)[1][0]
        torch.manual_seed(4)
        assert torch.equal(ours, tv.Compose([*transforms, *last])(raw)), group


def test_augmentation_and_size_are_options(data_root: str) -> None:
    options = {"data_root": data_root, "image_size": 56}
    kinds = {
        name: load("food-101", augmentation=name, **options) for name in ("plain", "autoaugment")
    }
    for name, count in (("plain", 4), ("autoaugment", 6)):
        group = kinds[name].train_stream[0].dataset._flat_data._transform_groups
        assert len(group.transform_groups["train"].transforms[0].transforms) == count
        assert kinds[name].train_stream[0].dataset[0][0].shape == (3, 56, 56)
    with pytest.raises(UserError, match="unknown .*augmentation .mixup"):
        load("food-101", augmentation="mixup", **options)


def test_a_line_that_names_no_class_is_refused(data_root: str, tmp_path: Path) -> None:
    shutil.copytree(Path(data_root) / "food-101" / "meta", tmp_path / "food-101" / "meta")
    (tmp_path / "food-101" / "images").mkdir()
    path = tmp_path / "food-101" / "meta" / "test.txt"
    path.write_text(path.read_text() + "dish_999/3\n")
    with pytest.raises(DataMissingError, match="'dish_999/3' names no class"):
        load("food-101", data_root=str(tmp_path))
    path.write_text("dish_000/3\n")
    with pytest.raises(DataMissingError, match="no image of 100 classes"):
        load("food-101", data_root=str(tmp_path))


def test_imagenet_says_how_it_is_got(nothing_installed: Path) -> None:
    with pytest.raises(DataMissingError, match=r"register at image-net\.org"):
        load("imagenet-1000", data_root=str(nothing_installed))
