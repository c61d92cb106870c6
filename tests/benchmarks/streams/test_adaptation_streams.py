"""Streams of domain adaptation: labels of one domain, images of another."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from cl_strategies.benchmarks import adaptation_digits, adaptation_office_31, load
from cl_strategies.errors import UserError
from cl_strategies.experiment.identity.data_fingerprint import fingerprint


def pictures(dataset: Any) -> torch.Tensor:
    return torch.stack([sample[0] for sample in dataset])


def test_a_task_has_labels_of_the_source_images_of_the_target_and_tests_of_it():
    domains = load("digit-domains", domains="plain-inverted-photo", image_size=8)
    benchmark = load("adaptation-digits", targets="photo-inverted", order=[1, 0])
    learn, check = domains.train_stream, domains.test_stream
    for place, domain in enumerate((1, 2)):
        experience = benchmark.train_stream[place]
        assert torch.equal(pictures(experience.dataset), pictures(learn[0].dataset))
        assert list(experience.dataset.targets) == list(learn[0].dataset.targets)
        assert torch.equal(pictures(experience.unlabeled), pictures(learn[domain].dataset))
        tested = benchmark.test_stream[place].dataset
        assert torch.equal(pictures(tested), pictures(check[domain].dataset))
    of_source = benchmark.source_stream[0].dataset
    assert torch.equal(pictures(of_source), pictures(check[0].dataset))


@pytest.mark.parametrize("scenario", ["domain", "task"])
def test_the_labels_of_the_target_are_nowhere(scenario: str):
    benchmark = load("adaptation-digits", scenario=scenario, targets="noisy-photo")
    for experience in benchmark.train_stream:
        assert {sample[1] for sample in experience.unlabeled} == {-1}
        assert set(experience.unlabeled.targets) == {-1}
        assert {sample[2] for sample in experience.unlabeled} == {experience.task_label}


def test_held_out_images_are_of_the_source():
    benchmark = load("adaptation-digits", fraction=0.5, validation=0.2)
    whole = load("digit-domains", domains="plain", image_size=8)
    experience, held = benchmark.train_stream[0], benchmark.test_stream[0].dataset
    assert len(experience.dataset) + len(held) == len(experience.unlabeled) < 730
    plain = {x.numpy().tobytes() for x in pictures(whole.train_stream[0].dataset)}
    assert {x.numpy().tobytes() for x in pictures(held)} <= plain


def test_a_run_is_of_other_data_if_the_images_without_labels_are_others():
    same, other = (load("adaptation-digits", validation=0.2, targets=t) for t in ("photo", "noisy"))
    assert fingerprint(same) != fingerprint(other)
    assert fingerprint(same) == fingerprint(
        load("adaptation-digits", validation=0.2, targets="photo")
    )


def test_photographs_of_the_target_are_trained_and_tested_on(data_root):
    whole = load("office-31", data_root=data_root, domains="A-W")
    sizes = [
        len(learn.dataset) + len(check.dataset)
        for learn, check in zip(whole.train_stream, whole.test_stream, strict=True)
    ]
    benchmark = load("adaptation-office-31", data_root=data_root, image_size=32)
    experience = benchmark.train_stream[0]
    assert (len(experience.dataset), len(experience.unlabeled)) == tuple(sizes)
    assert len(benchmark.test_stream[0].dataset) == sizes[1]
    assert len(benchmark.source_stream[0].dataset) == sizes[0]
    assert experience.unlabeled[0][0].shape == (3, 32, 32)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source": "grey"}, "source is 'grey': give one of plain, inverted"),
        ({"targets": "plain"}, "source is 'plain', and targets is 'plain'"),
        ({"targets": "photo-photo"}, "targets is 'photo-photo'"),
        ({"targets": "photo", "n_experiences": 2}, "targets is 'photo'"),
    ],
)
def test_domains_that_are_none_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        adaptation_digits(**options)


def test_a_domain_of_office_31_is_a_letter():
    with pytest.raises(UserError, match="source is 'X': give one of A, D, W"):
        adaptation_office_31(source="X")
