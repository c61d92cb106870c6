"""Tasks that share classes: the generator of LifeQuant's paper."""

from __future__ import annotations

import doctest
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from cl_strategies.benchmarks import load
from cl_strategies.benchmarks.streams import domains
from cl_strategies.benchmarks.streams.papers import overlap
from cl_strategies.benchmarks.streams.papers.overlap import overlapping_classes
from cl_strategies.errors import UserError

NAMES = ("overlapping-digits", "overlapping-fashion-mnist", "overlapping-cifar100")


@pytest.mark.parametrize(
    ("gamma", "sizes", "shared"), [(0.25, [66, 66, 68], (50, 50, 34)), (0.5, [50] * 3, (25, 25, 0))]
)
def test_cifar100_has_the_tasks_of_the_paper(gamma, sizes, shared, data_root):
    benchmark = load("overlapping-cifar100", gamma=gamma, data_root=data_root)
    tasks = [set(classes) for classes in benchmark.info.task_classes]
    assert [len(task) for task in tasks] == sizes
    assert (len(tasks[0] & tasks[1]), len(tasks[1] & tasks[2]), len(tasks[0] & tasks[2])) == shared
    assert set().union(*tasks) == set(range(100))
    assert benchmark.info.n_classes == 100 and benchmark.info.input_shape == (3, 32, 32)


def test_classes_come_in_the_order_of_the_authors_generator():
    benchmark = load("overlapping-digits", gamma=1.0, n_experiences=2)
    assert benchmark.info.class_order == tuple(np.random.RandomState(123).permutation(10))
    full = np.random.RandomState(123).permutation(100)[:8].tolist()
    assert full == [8, 70, 82, 28, 63, 0, 5, 50]
    natural = load("overlapping-digits", class_order=list(range(10)))
    assert natural.info.task_classes[0] == (0, 1, 2, 3, 4)


@pytest.mark.parametrize("n_classes", [7, 10, 31, 100, 365])
@pytest.mark.parametrize("gamma", [0.1, 0.25, 1 / 3, 0.5, 0.75, 1.0])
@pytest.mark.parametrize("tasks", [1, 2, 3, 5])
def test_any_number_of_classes_loses_none_and_moves_by_the_same_share(n_classes, gamma, tasks):
    try:
        windows = overlapping_classes(range(n_classes), n_experiences=tasks, gamma=gamma)
    except UserError:
        size = n_classes / (1 + gamma * (tasks - 1))
        assert tasks > 1 and size * gamma < 2  # it would move by no class
        return
    assert sorted({label for window in windows for label in window}) == list(range(n_classes))
    assert len({len(window) for window in windows[:-1]}) <= 1
    moved = [len(set(a) - set(b)) for a, b in pairwise(windows)]
    assert len(set(moved)) <= 1
    if tasks > 1:
        size = len(windows[0])
        assert moved[0] == int(size * gamma + 1e-9) and len(windows[-1]) >= size


def test_shares_that_floating_point_rounds_down_are_exact():
    """0.29 * 100 is 28.999999999999996 in floating point."""
    first, second = overlapping_classes(range(129), n_experiences=2, gamma=0.29)
    assert len(first) == 100 and len(set(first) - set(second)) == 29


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gamma": 25}, "gamma is 25"),
        ({"gamma": -0.1}, "gamma is -0.1"),
        ({"gamma": 0.1, "n_experiences": 5}, "move by 0"),
        ({"n_experiences": 20, "gamma": 1.0}, "have 0 of the 10 classes"),
        ({"scenario": "domain"}, "scenario"),
    ],
)
def test_what_makes_no_stream_is_refused(options, message):
    with pytest.raises(UserError, match=message):
        load("overlapping-digits", **options)


def test_an_image_of_a_class_is_in_every_task_of_the_class():
    benchmark = load("overlapping-digits", gamma=0.25)
    classes = [set(task) for task in benchmark.info.task_classes]
    for stream in (benchmark.train_stream, benchmark.test_stream):
        images: list[dict[int, set[bytes]]] = []
        for experience in stream:
            by_label: dict[int, set[bytes]] = {}
            for x, y, _ in experience.dataset:
                by_label.setdefault(y, set()).add(x.numpy().tobytes())
            images.append(by_label)
        for a, b in pairwise(range(3)):
            for label in classes[a] & classes[b]:
                assert images[a][label] == images[b][label]
    assert classes[0] & classes[1] & classes[2]


@pytest.mark.parametrize("name", NAMES)
def test_making_a_stream_leaves_the_global_generators_alone_and_repeats(
    name: str, data_root: str, digest: Callable[[Any], str], global_rngs: Callable[[], Any]
) -> None:
    options = {"order": 7, "fraction": 0.5, "data_root": data_root}
    before = global_rngs()
    first = load(name, **options)
    assert global_rngs() == before
    assert digest(load(name, **options)) == digest(first)


def test_heads_of_their_own_count_classes_from_zero():
    benchmark = load("overlapping-digits", scenario="task", order=[2, 0, 1])
    assert [e.task_labels for e in benchmark.train_stream] == [[2], [0], [1]]
    assert [e.classes_in_this_experience for e in benchmark.train_stream][1] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("module", [overlap, domains])
def test_the_examples_in_docstrings_hold(module):
    result = doctest.testmod(module)
    assert result.attempted > 0 and result.failed == 0
