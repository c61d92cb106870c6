"""Permuted and rotated streams: the same images in every task, changed in the same way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.functional import rotate as torchvision_rotate

from cl_strategies.benchmarks import load, permuted_digits, rotated_digits, split_digits
from cl_strategies.benchmarks.datasets.registry import load_dataset
from cl_strategies.benchmarks.streams.permuted import permuted_stream
from cl_strategies.benchmarks.streams.rotated import rotate
from cl_strategies.errors import UserError


def images(experience: Any) -> Tensor:
    return torch.stack([item[0] for item in experience.dataset])


def test_task_zero_is_the_identity_and_the_others_are_one_permutation_each() -> None:
    benchmark = permuted_digits(n_experiences=3, stream_seed=11)
    original = split_digits(n_experiences=1)
    for stream in ("train_stream", "test_stream"):
        plain = images(getattr(original, stream)[0]).flatten(1)
        tasks = getattr(benchmark, stream)
        assert torch.equal(images(tasks[0]).flatten(1), plain)
        generator = np.random.RandomState(11)
        for task in (1, 2):
            order = torch.from_numpy(generator.permutation(64))
            assert torch.equal(images(tasks[task]).flatten(1), plain[:, order])


def test_every_permuted_task_has_every_class() -> None:
    benchmark = permuted_digits(n_experiences=2, scenario="task", order=[1, 0])
    assert benchmark.info.n_classes == 10
    assert [e.task_labels for e in benchmark.train_stream] == [[1], [0]]
    assert all(e.classes_in_this_experience == list(range(10)) for e in benchmark.train_stream)


def test_a_longer_permuted_stream_starts_with_the_shorter_one() -> None:
    short, long = permuted_digits(n_experiences=2), permuted_digits(n_experiences=4)
    assert torch.equal(images(short.train_stream[1]), images(long.train_stream[1]))


def test_another_stream_seed_gives_other_permutations() -> None:
    one, two = (permuted_digits(n_experiences=2, stream_seed=seed) for seed in (1, 2))
    assert torch.equal(images(one.test_stream[0]), images(two.test_stream[0]))
    assert not torch.equal(images(one.test_stream[1]), images(two.test_stream[1]))


def test_permuted_tasks_share_their_images_in_memory(data_root: str) -> None:
    benchmark = load("permuted-fashion-mnist", n_experiences=3, data_root=data_root)
    leaves = [e.dataset._flat_data._datasets[0] for e in benchmark.train_stream]
    assert len({leaf._x.data_ptr() for leaf in leaves}) == 1


def test_angles_are_evenly_spaced_below_half_a_turn() -> None:
    benchmark = rotated_digits(n_experiences=4)
    plain = images(split_digits(n_experiences=1).test_stream[0])
    assert torch.equal(images(benchmark.test_stream[0]), plain)
    assert torch.equal(images(benchmark.test_stream[2]), plain.rot90(1, (2, 3)))
    assert torch.equal(images(benchmark.test_stream[1]), rotate(plain, 45))


def test_angles_can_be_given() -> None:
    benchmark = rotated_digits(n_experiences=2, angles=[180, -90.0], scenario="task")
    plain = images(split_digits(n_experiences=1).train_stream[0])
    assert torch.equal(images(benchmark.train_stream[0]), plain.flip((2, 3)))
    assert torch.equal(images(benchmark.train_stream[1]), plain.rot90(-1, (2, 3)))


@pytest.mark.parametrize("degrees", [0.0, 18.0, 77.3, -33.0, 162.0, 400.0])
@pytest.mark.parametrize("shape", [(2, 1, 8, 8), (1, 3, 7, 10)])
def test_rotation_agrees_with_torchvision(degrees: float, shape: tuple[int, ...]) -> None:
    x = torch.rand(shape)
    expected = torchvision_rotate(x, degrees, InterpolationMode.BILINEAR)
    torch.testing.assert_close(rotate(x, degrees), expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("permuted-digits", {"scenario": "class"}, "unknown .*scenario .*known: domain, task"),
        ("permuted-digits", {"n_experiences": 0}, "n_experiences is 0"),
        ("permuted-digits", {"stream_seed": -1}, "stream_seed is -1"),
        ("rotated-digits", {"scenario": "class"}, "unknown .*scenario .*known: domain, task"),
        ("rotated-digits", {"angles": [0, 10]}, "n_experiences = 10 of them"),
        ("rotated-digits", {"n_experiences": 1, "angles": [float("inf")]}, "finite"),
        ("rotated-digits", {"n_experiences": 1, "angles": ["x"]}, "angles is .*a list of numbers"),
    ],
)
def test_bad_options_are_explained(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        load(name, **options)


def test_files_cannot_be_permuted(data_root: str) -> None:
    with pytest.raises(UserError, match="tensors"):
        permuted_stream(load_dataset("tiny-imagenet", data_root), name="p", n_experiences=2)
