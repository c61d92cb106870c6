"""Tasks that overlap in time, and classes that come back."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cl_strategies.benchmarks import contract_violations, load
from cl_strategies.benchmarks.streams.repetition import slots_of_experiences
from cl_strategies.errors import UserError


def ids(experience: Any) -> set[int]:
    return set(experience.dataset.sample_ids)


def counts(benchmark: Any) -> list[Counter[int]]:
    return [Counter(one.dataset.targets) for one in benchmark.whole_stream]


@pytest.mark.parametrize(("disjoint", "blurry"), [(0.5, 0.1), (0.0, 0.3), (0.5, 0.9)])
def test_disjoint_classes_stay_and_a_share_of_blurry_ones_is_dealt_evenly(
    disjoint: float, blurry: float
) -> None:
    made = load("blurry-split-digits", disjoint=disjoint, blurry=blurry)
    plain = load("split-digits")
    found = counts(made)
    for task, classes in enumerate(plain.info.task_classes):
        before = Counter(plain.train_stream[task].dataset.targets)
        moved = {label: before[label] - found[task][label] for label in classes}
        assert list(moved.values()).count(0) == round(disjoint * len(classes))
        for label in (label for label, count in moved.items() if count):
            assert moved[label] == int(blurry * before[label] + 0.5)
            elsewhere = [found[k][label] for k in range(5) if k != task]
            assert sum(elsewhere) == moved[label]
            assert max(elsewhere) - min(elsewhere) <= 1
    together = [ids(one) for one in made.whole_stream]
    assert sum(map(len, together)) == len(set().union(*together))
    assert set().union(*together) == set().union(*map(ids, plain.train_stream))
    assert list(map(ids, made.test_stream)) == list(map(ids, plain.test_stream))


@pytest.mark.parametrize("options", [{"disjoint": 1.0}, {"blurry": 0.0}, {"n_experiences": 1}])
def test_without_blurry_samples_the_stream_is_the_online_one(options: dict[str, Any]) -> None:
    blurry = load("blurry-split-digits", fraction=0.2, **options)
    chosen = {key: value for key, value in options.items() if key == "n_experiences"}
    online = load("online-split-digits", fraction=0.2, **chosen)
    assert list(map(ids, blurry.whole_stream)) == list(map(ids, online.whole_stream))


def test_an_own_class_keeps_a_sample_however_blurry() -> None:
    made = load("blurry-split-digits", disjoint=0.0, blurry=0.999, fraction=0.02)
    assert contract_violations(made) == []
    assert all(
        found[label] >= 1
        for found, own in zip(counts(made), made.info.task_classes, strict=True)
        for label in own
    )


def test_a_blurry_task_has_the_same_samples_in_any_order() -> None:
    natural = load("blurry-split-digits", fraction=0.3)
    moved = load("blurry-split-digits", fraction=0.3, order=[4, 2, 0, 1, 3])
    for position, task in enumerate((4, 2, 0, 1, 3)):
        assert ids(moved.whole_stream[position]) == ids(natural.whole_stream[task])


@given(
    st.integers(1, 12).flatmap(
        lambda n: st.tuples(
            st.just(n), st.integers(1, n), st.integers(1, 15), st.integers(0, 2**32 - 1)
        )
    )
)
def test_slots_are_full_and_shared_evenly_between_classes(
    drawn: tuple[int, int, int, int],
) -> None:
    n_classes, slots, n_experiences, seed = drawn
    arguments = {"n_experiences": n_experiences, "slots": slots, "seed": seed, "name": "t"}
    if slots * n_experiences < n_classes:
        with pytest.raises(UserError, match="cannot hold"):
            slots_of_experiences(range(n_classes), **arguments)  # type: ignore[arg-type]
        return
    found = slots_of_experiences(range(n_classes), **arguments)  # type: ignore[arg-type]
    assert [len(set(classes)) for classes in found] == [slots] * n_experiences
    often = Counter(label for classes in found for label in classes)
    assert len(often) == n_classes and max(often.values()) - min(often.values()) <= 1


def test_classes_come_back_with_other_samples() -> None:
    made = load("repetition-digits", n_experiences=6, slots=5)
    plain = load("split-digits", n_experiences=1)
    whole = [ids(one) for one in made.whole_stream]
    assert sum(map(len, whole)) == len(set().union(*whole))
    assert set().union(*whole) == ids(plain.train_stream[0])
    appear = Counter(label for classes in made.info.task_classes for label in classes)
    assert set(appear.values()) == {3}
    for label in range(10):
        shares = [found[label] for found in counts(made) if label in found]
        assert len(shares) == 3 and max(shares) - min(shares) <= 1
    for one, classes in zip(made.test_stream, made.info.task_classes, strict=True):
        labels = np.asarray(list(plain.test_stream[0].dataset.targets))
        assert set(one.dataset.targets) == set(classes)
        assert len(one.dataset) == np.isin(labels, classes).sum()


def test_the_limits_of_repetition_are_a_split_and_every_class_everywhere() -> None:
    once = load("repetition-digits", n_experiences=5, slots=2).info.task_classes
    assert sorted(label for classes in once for label in classes) == list(range(10))
    always = load("repetition-digits", n_experiences=3, slots=10).info.task_classes
    assert always == (tuple(range(10)),) * 3


def test_an_order_moves_experiences_of_repetition() -> None:
    natural = load("repetition-digits", n_experiences=4, fraction=0.5)
    moved = load("repetition-digits", n_experiences=4, fraction=0.5, order=[3, 1, 0, 2])
    assert moved.info.task_order == (3, 1, 0, 2)
    for position, task in enumerate((3, 1, 0, 2)):
        assert ids(moved.whole_stream[position]) == ids(natural.whole_stream[task])


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("blurry-split-digits", {"disjoint": 1.1}, "disjoint is 1.1"),
        ("blurry-split-digits", {"blurry": 1.0}, "blurry is 1.0"),
        ("blurry-split-digits", {"scenario": "task"}, "scenario"),
        ("repetition-digits", {"slots": 11}, "at most 10 slots"),
        ("repetition-digits", {"slots": 1, "n_experiences": 9}, "cannot hold 10 classes"),
        ("repetition-digits", {"fraction": 0.01, "slots": 8}, "raise fraction"),
        ("repetition-digits", {"order": [0, 1]}, "order is"),
    ],
)
def test_bad_options_are_explained(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message.replace(".", r"\.")):
        load(name, **options)
