"""Online forms of registered streams: every sample once, a few at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from avalanche.benchmarks.scenarios.generic_scenario import MaskedAttributeError
from avalanche.benchmarks.scenarios.online import OnlineCLExperience, split_online_stream

from cl_strategies.benchmarks import contract_violations, load
from cl_strategies.errors import UserError
from cl_strategies.registry import registry

ONLINE = [entry.name for entry in registry("benchmarks") if entry.name.startswith("online-")]
IN_PARTS = ["online-split-digits", "online-permuted-digits"]


def ids(experiences: Any) -> list[int]:
    return [sample for one in experiences for sample in one.dataset.sample_ids]


@pytest.mark.parametrize("name", ONLINE)
def test_an_online_stream_has_the_experiences_of_its_registered_stream(
    name: str, data_root: str
) -> None:
    options = {"n_experiences": 2, "order": [1, 0], "data_root": data_root}
    online, plain = load(name, **options), load(name.removeprefix("online-"), **options)
    assert online.info.task_classes == plain.info.task_classes
    for whole, experience in zip(online.whole_stream, plain.train_stream, strict=True):
        assert list(whole.dataset.sample_ids) == list(experience.dataset.sample_ids)
    for ours, theirs in zip(online.test_stream, plain.test_stream, strict=True):
        assert list(ours.dataset.sample_ids) == list(theirs.dataset.sample_ids)
    known = registry("benchmarks")[name.removeprefix("online-")].defaults()
    assert registry("benchmarks")[name].defaults() == known | {
        "experience_size": 10,
        "boundaries": False,
        "sample_seed": 0,
    }


@pytest.mark.parametrize("name", IN_PARTS)
def test_every_sample_comes_once_in_parts_of_the_given_size(name: str) -> None:
    benchmark = load(name, n_experiences=2, fraction=0.1, experience_size=7)
    assert sorted(ids(benchmark.train_stream)) == sorted(ids(benchmark.whole_stream))
    for position, count in enumerate(benchmark.info.parts):
        parts = list(benchmark.parts_of(position))
        sizes = [len(part.dataset) for part in parts]
        assert len(parts) == count and set(sizes[:-1]) == {7} and 0 < sizes[-1] <= 7
        whole = benchmark.whole_stream[position]
        assert sorted(ids(parts)) == sorted(whole.dataset.sample_ids)
        assert all(isinstance(p, OnlineCLExperience) for p in parts)
        assert [p.is_first_subexp for p in parts] == [k == 0 for k in range(count)]
        assert [p.is_last_subexp for p in parts] == [k == count - 1 for k in range(count)]
        assert {p.sub_stream_length for p in parts} == {count}
        assert all(p.origin_experience is whole for p in parts)


def test_parts_tell_the_classes_before_in_and_after_them() -> None:
    stream = load("online-split-digits", fraction=0.05, experience_size=4).train_stream
    labels = [set(part.dataset.targets) for part in stream]
    for position, part in enumerate(stream):
        assert set(part.classes_in_this_experience) == labels[position]
        assert set(part.previous_classes) == set().union(*labels[:position])
        assert set(part.classes_seen_so_far) == set().union(*labels[: position + 1])
        assert set(part.future_classes) == set().union(*labels[position + 1 :])
        assert part.current_experience == position


def test_the_last_part_is_the_last_also_where_it_is_full() -> None:
    benchmark = load("online-split-digits", fraction=0.05, experience_size=1)
    assert [part.is_last_subexp for part in benchmark.parts_of(0)].count(True) == 1
    whole = load("online-split-digits", fraction=0.05, experience_size=10**6)
    assert whole.info.parts == (1,) * 5 and whole.train_stream[0].is_last_subexp


def test_boundaries_are_hidden_from_strategies_unless_asked_for() -> None:
    hidden = load("online-split-digits").train_stream[0].train()
    shown = load("online-split-digits", boundaries=True).train_stream[0].train()
    with pytest.raises(MaskedAttributeError):
        _ = hidden.is_first_subexp
    assert shown.is_first_subexp and shown.origin_experience.classes_in_this_experience == [0, 1]


def test_the_samples_of_a_task_come_in_the_same_order_wherever_the_task_stands() -> None:
    natural = load("online-split-digits", n_experiences=3)
    moved = load("online-split-digits", n_experiences=3, order=[2, 0, 1])
    for position, task in enumerate((2, 0, 1)):
        assert ids(moved.parts_of(position)) == ids(natural.parts_of(task))


@pytest.mark.parametrize("name", ["online-split-digits", "blurry-split-digits"])
def test_the_seed_alone_decides_when_samples_come(
    name: str, global_rngs: Callable[[], Any]
) -> None:
    before = global_rngs()
    first = ids(load(name, fraction=0.3).train_stream)
    assert global_rngs() == before
    torch.manual_seed(99)
    assert ids(load(name, fraction=0.3).train_stream) == first
    assert ids(load(name, fraction=0.3, sample_seed=1).train_stream) != first


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("online-split-digits", "c059c6fee000e05fdf6a98d7e61ec2fbd635f53a09075cd58699667f7f160857"),
        ("blurry-split-digits", "df9f1e18d788a087fe30cbaffc8382adce3039c0f8c9b7c940d0d98a538edeb6"),
        ("repetition-digits", "e2973cafca2bb72083609d17df00ff2ee3a09f6d30f2351f16e321f03c7ed31e"),
    ],
)
def test_a_stream_in_parts_is_the_same_on_every_machine(
    name: str, expected: str, digest: Callable[[Any], str]
) -> None:
    benchmark = load(name, n_experiences=3, order=1, fraction=0.3, validation=0.2)
    assert digest(benchmark) == expected


def test_parts_are_those_of_avalanches_split_but_for_the_order_of_the_samples() -> None:
    benchmark = load("online-split-digits", fraction=0.1, experience_size=8)
    theirs = split_online_stream(benchmark.whole_stream, experience_size=8, seed=0)
    for ours, part in zip(benchmark.train_stream, theirs, strict=True):
        assert len(ours.dataset) == len(part.dataset)
        assert ours.origin_experience is part.origin_experience
        assert ours.is_first_subexp == part.is_first_subexp
        assert ours.sub_stream_length == part.sub_stream_length


BREAKS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "fewer parts": (lambda b: setattr(b, "train_stream", b.train_stream[:1]), "train: 1 parts"),
    "a sample twice": (lambda b: b.train_stream._rows[0].fill(0), "each of its samples once"),
    "no whole stream": (lambda b: delattr(b, "whole_stream"), "there is no whole_stream"),
}


@pytest.mark.parametrize("what", BREAKS)
def test_a_broken_online_stream_is_reported(what: str) -> None:
    break_it, message = BREAKS[what]
    benchmark = load("online-split-digits", n_experiences=2, fraction=0.05)
    assert contract_violations(benchmark) == []
    break_it(benchmark)
    assert any(message in line for line in contract_violations(benchmark))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"experience_size": 0}, "experience_size is 0"),
        ({"sample_seed": -1}, "sample_seed is -1"),
        ({"boundaries": 1}, "boundaries is 1"),
        ({"fraction": 0.0}, "fraction is 0.0"),
        ({"experience_siz": 3}, "did you mean experience_size"),
    ],
)
def test_bad_options_are_explained(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message.replace(".", r"\.")):
        load("online-split-digits", **options)
