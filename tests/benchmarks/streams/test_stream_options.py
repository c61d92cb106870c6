"""order, fraction and validation mean the same on every stream."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cl_strategies.benchmarks import build_benchmark, load
from cl_strategies.benchmarks.core.selection import partition, permutation, stratified_rows
from cl_strategies.errors import UserError

STREAMS = ("split-digits", "permuted-digits", "rotated-digits")


def ids(stream: Any) -> list[set[int]]:
    return [set(experience.dataset.sample_ids) for experience in stream]


@pytest.mark.parametrize("name", STREAMS)
def test_order_moves_whole_tasks(name: str) -> None:
    natural = load(name, n_experiences=3)
    moved = load(name, n_experiences=3, order=[2, 0, 1])
    assert natural.info.task_order == (0, 1, 2)
    assert moved.info.task_order == (2, 0, 1)
    for position, task in enumerate((2, 0, 1)):
        for stream in ("train_stream", "test_stream"):
            ours = getattr(moved, stream)[position].dataset
            theirs = getattr(natural, stream)[task].dataset
            assert list(ours.sample_ids) == list(theirs.sample_ids)
            assert list(ours.targets) == list(theirs.targets)
            assert torch.equal(ours[3][0], theirs[3][0])


def test_an_order_seed_gives_the_same_permutation_every_time() -> None:
    first = load("split-digits", n_experiences=10, order=4).info.task_order
    assert first == load("split-digits", n_experiences=10, order=4).info.task_order
    assert sorted(first) == list(range(10))
    assert first != load("split-digits", n_experiences=10, order=5).info.task_order


def test_a_task_keeps_its_task_label_in_any_order() -> None:
    moved = load("split-digits", n_experiences=3, scenario="task", order=[2, 0, 1])
    assert [experience.task_labels for experience in moved.train_stream] == [[2], [0], [1]]
    assert moved.test_stream[0].dataset[0][2] == 2


@pytest.mark.parametrize("name", STREAMS)
def test_smaller_fractions_are_nested_stratified_and_leave_the_test_stream_alone(name: str) -> None:
    full = load(name, n_experiences=2)
    quarter = load(name, n_experiences=2, fraction=0.25)
    twentieth = load(name, n_experiences=2, fraction=0.05)
    for task in range(2):
        small, medium, large = (
            ids(stream.train_stream)[task] for stream in (twentieth, quarter, full)
        )
        assert small < medium < large
        counts = full.train_stream[task].dataset.targets.count
        for label, count in quarter.train_stream[task].dataset.targets.count.items():
            assert count == int(0.25 * counts[label] + 0.5)
    assert ids(full.test_stream) == ids(twentieth.test_stream)


def test_the_smallest_fraction_keeps_a_sample_of_every_class() -> None:
    stream = load("split-digits", fraction=1e-9).train_stream
    assert [len(experience.dataset) for experience in stream] == [2] * 5
    assert {label for experience in stream for label in experience.dataset.targets} == set(
        range(10)
    )


@pytest.mark.parametrize("name", STREAMS)
def test_validation_replaces_the_test_stream_by_a_part_of_the_training_data(name: str) -> None:
    full = load(name, n_experiences=2, fraction=0.5)
    tuning = load(name, n_experiences=2, fraction=0.5, validation=0.2)
    for task in range(2):
        training, held_out = ids(tuning.train_stream)[task], ids(tuning.test_stream)[task]
        assert not training & held_out
        assert training | held_out == ids(full.train_stream)[task]
        assert len(held_out) == pytest.approx(0.2 * len(training | held_out), rel=0.05)
        assert set(tuning.test_stream[task].dataset.targets) == set(
            tuning.train_stream[task].dataset.targets
        )


@given(
    sizes=st.lists(st.integers(2, 40), min_size=1, max_size=4),
    fractions=st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)),
    validation=st.floats(0, 0.5),
)
def test_training_rows_are_nested_for_any_fractions(
    sizes: list[int], fractions: tuple[float, float], validation: float
) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    chosen = []
    for fraction in sorted(fractions):
        try:
            chosen.append(
                stratified_rows(
                    labels, range(len(sizes)), fraction=fraction, validation=validation, where="t"
                )
            )
        except UserError:
            return
    (less, _), (more, held_out) = chosen
    assert set(less) <= set(more)
    assert not set(more) & set(held_out)
    assert bool(len(held_out)) == (validation > 0)


@given(items=st.integers(1, 60), parts=st.integers(1, 60))
def test_a_partition_drops_nothing_and_is_even(items: int, parts: int) -> None:
    if parts > items:
        with pytest.raises(UserError, match="at most"):
            partition(range(items), parts)
        return
    cut = partition(range(items), parts)
    assert [item for part in cut for item in part] == list(range(items))
    assert sorted({len(part) for part in cut})[-1] - min(map(len, cut)) <= 1


def test_a_seeded_permutation_does_not_change_between_releases() -> None:
    assert permutation("order", 1, 6) == tuple(np.random.RandomState(1).permutation(6))
    assert permutation("order", 0, 10) == (2, 8, 4, 9, 1, 6, 7, 3, 0, 5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_experiences": 11}, "at most 10"),
        ({"n_experiences": 0}, "n_experiences is 0"),
        ({"order": [0, 1]}, "order is"),
        ({"order": [0, 1, 2, 3, 3]}, "each of 0..4 exactly once"),
        ({"order": -1}, "order is -1"),
        ({"order": True}, "order is True"),
        ({"order": "random"}, "order is 'random'"),
        ({"order": 1.5}, "order is 1.5"),
        ({"order": 2**32}, "order is"),
        ({"order": ["a"]}, "order is"),
        ({"class_order": [1, 2]}, "class_order is"),
        ({"fraction": 0.0}, "fraction is 0.0"),
        ({"fraction": 1.5}, "fraction is 1.5"),
        ({"fraction": float("nan")}, "fraction is nan"),
        ({"validation": 1.0}, "validation is 1.0"),
        ({"validation": -0.1}, "validation is -0.1"),
        ({"fraction": 0.001, "validation": 0.5}, "too few to hold out"),
        ({"scenario": "tasks"}, "scenario 'tasks': did you mean task"),
        ({"n_experience": 3}, "did you mean n_experiences"),
    ],
)
def test_bad_options_are_explained(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message.replace(".", r"\.")):
        load("split-digits", **options)


@pytest.mark.parametrize("fraction", [True, "0.5"])
def test_a_fraction_of_another_type_is_an_error_in_python_too(fraction: Any) -> None:
    pieces = [(torch.zeros(2, 1, 2, 2), torch.tensor([0, 1]))]
    with pytest.raises(UserError, match="fraction is"):
        build_benchmark(pieces, pieces, name="t", scenario="class", fraction=fraction)


def test_pieces_that_cannot_be_samples_are_explained() -> None:
    good = (torch.zeros(2, 1, 2, 2), torch.tensor([0, 1]))
    for train, test, message in (
        ([], [], "give one of each per task"),
        ([good], [], "give one of each per task"),
        ([42], [good], "cannot read samples from a int"),
        ([(good[0], torch.tensor([0]))], [good], "one integer label per sample"),
        ([(good[0], torch.tensor([0.0, 1.0]))], [good], "one integer label per sample"),
        ([(good[0], torch.tensor([0, -1]))], [good], "different ids from 0 up"),
        ([(good[0].to(torch.uint8), good[1])], [good], "give floating-point images"),
        ([good], [(good[0], torch.tensor([5, 6]))], "no test sample of its classes"),
    ):
        with pytest.raises(UserError, match=message):
            build_benchmark(train, test, name="t", scenario="class")


def test_classes_must_be_named_for_every_task() -> None:
    pieces = [(torch.zeros(2, 1, 2, 2), torch.tensor([0, 1]))]
    with pytest.raises(UserError, match="classes names 2 tasks, there are 1"):
        build_benchmark(pieces, pieces, name="t", scenario="class", classes=[[0], [1]])
