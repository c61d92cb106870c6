"""The samples that are evaluated: balanced, the same ones always."""

import random

import numpy as np
import pytest
import torch

from cl_strategies.errors import UserError
from cl_strategies.plugins.continual_evaluation.subsets import class_balanced


def counts(labels, indices):
    return np.bincount(np.asarray(labels)[indices], minlength=max(labels) + 1).tolist()


def test_every_class_has_as_many_samples():
    labels = [0] * 50 + [1] * 30 + [2] * 40
    chosen = class_balanced(labels, 30, 0)
    assert counts(labels, chosen) == [10, 10, 10]
    assert chosen == sorted(set(chosen))


def test_a_remainder_goes_to_some_classes_and_a_small_class_gives_all_it_has():
    labels = [0] * 50 + [1] * 3 + [2] * 40
    found = counts(labels, class_balanced(labels, 20, 1))
    assert found[1] == 3
    assert sorted([found[0], found[2]]) == [8, 9]


def test_all_samples_if_there_are_not_more():
    assert class_balanced([0, 1, 1], 10, 0) == [0, 1, 2]


def test_one_seed_draws_the_same_samples_and_another_seed_others():
    labels = list(range(10)) * 20
    assert class_balanced(labels, 40, [3, 1]) == class_balanced(torch.tensor(labels), 40, [3, 1])
    assert class_balanced(labels, 40, [3, 1]) != class_balanced(labels, 40, [3, 2])


def test_global_generators_are_left_alone():
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    class_balanced([0, 1] * 20, 10, 0)
    after = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    assert before == after


@pytest.mark.parametrize(("labels", "samples"), [([], 3), ([[0, 1]], 3), ([0, 1], 0)])
def test_what_no_sample_can_be_drawn_from(labels, samples):
    with pytest.raises(UserError, match="a sub-sample has 1 sample or more"):
        class_balanced(labels, samples, 0)
