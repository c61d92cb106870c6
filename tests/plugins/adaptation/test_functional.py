"""Schedules, gradient reversal and LMMD: reference vectors, limit cases, and sums by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cl_strategies.errors import UserError
from cl_strategies.plugins.adaptation.domain_classifier import domain_loss
from cl_strategies.plugins.adaptation.functional import (
    adaptation_weight,
    annealed_rate,
    kernel_bandwidth,
    lmmd,
    reverse_gradient,
)

ROWS = Path(__file__).parents[2] / "golden" / "rows"
DANN, DSAN = (dict(np.load(ROWS / f"{name}.npz")) for name in ("dann", "dsan"))
EXACT = {"rtol": 1e-12, "atol": 1e-12}


def double(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def test_the_schedules_are_those_of_the_reference():
    base = float(DANN["rate_base"])
    columns = [DANN[f"schedule_{name}"] for name in ("progress", "value", "gamma5")]
    for progress, value, slower, rate in np.stack([*columns, DANN["rate_value"]], 1).tolist():
        assert adaptation_weight(progress) == pytest.approx(value, abs=1e-14)
        assert adaptation_weight(progress, gamma=5.0) == pytest.approx(slower, abs=1e-14)
        assert annealed_rate(base, progress) == pytest.approx(rate, rel=1e-14)
    assert adaptation_weight(0.7, gamma=0.0) == 0 and annealed_rate(0.3, 0.7, alpha=0.0) == 0.3


@pytest.mark.parametrize("progress", [-0.1, 1.1, math.nan])
def test_progress_is_a_share(progress):
    with pytest.raises(UserError, match="progress is"):
        adaptation_weight(progress)
    with pytest.raises(UserError, match="progress is"):
        annealed_rate(0.1, progress)


def test_a_gradient_is_reversed_and_the_value_is_not():
    x = torch.tensor(DANN["reverse_x"], requires_grad=True)
    upstream = torch.tensor(DANN["reverse_upstream"])
    for weight, name in ((float(DANN["reverse_weight"]), "gradient"), (0.0, "gradient_weight0")):
        value = reverse_gradient(x, weight)
        assert torch.equal(value, torch.tensor(DANN["reverse_value"]))
        (found,) = torch.autograd.grad(value, x, upstream)
        torch.testing.assert_close(found, torch.tensor(DANN[f"reverse_{name}"]), **EXACT)


@pytest.mark.parametrize("case", [0, 1])
def test_lmmd_and_its_gradients_are_those_of_the_reference(case: int):
    def given(name: str) -> Any:
        return torch.tensor(DSAN[f"lmmd{case}_{name}"])

    source, target = (given(name).requires_grad_() for name in ("source", "target"))
    value = lmmd(source, target, given("labels"), given("probabilities"))
    torch.testing.assert_close(kernel_bandwidth(source, target), given("bandwidth"), **EXACT)
    torch.testing.assert_close(value, given("value"), **EXACT)
    found = torch.autograd.grad(value, (source, target))
    for gradient, name in zip(found, ("d_source", "d_target"), strict=True):
        torch.testing.assert_close(gradient, given(name), **EXACT)


def test_equal_batches_of_the_same_classes_have_no_discrepancy():
    names = ("source", "target", "labels", "probabilities")
    assert lmmd(*(torch.tensor(DSAN[f"equal_{name}"]) for name in names)) == 0


def by_hand(source: Tensor, target: Tensor, labels: Tensor, probabilities: Tensor) -> float:
    """The sums of the paper, one after the other."""
    both = [*source, *target]
    n = len(both)
    distances = [[float((a - b).square().sum()) for b in both] for a in both]
    h = sum(map(sum, distances)) / (n * n - n) / 4
    kernel = [[sum(math.exp(-d / (h * 2**u)) for u in range(5)) for d in row] for row in distances]
    guessed = set(probabilities.argmax(1).tolist())
    classes = sorted(set(labels.tolist()) & guessed)
    total = 0.0
    for c in classes:
        count = sum(label == c for label in labels.tolist())
        of_source = [(label == c) / count for label in labels.tolist()]
        column = probabilities[:, c].tolist()
        weights = of_source + [-p / sum(column) for p in column]
        total += sum(weights[i] * weights[j] * kernel[i][j] for i in range(n) for j in range(n))
    return total / len(classes)


def test_lmmd_is_what_its_sums_give():
    for _ in range(5):
        source, target = double(7, 4), double(5, 4) + 0.5
        labels, probabilities = torch.randint(0, 3, (7,)), double(5, 3).softmax(1)
        expected = by_hand(source, target, labels, probabilities)
        assert float(lmmd(source, target, labels, probabilities)) == pytest.approx(expected)


def test_of_one_class_it_is_the_maximum_mean_discrepancy():
    source, target = double(6, 3), double(9, 3)
    h = float(kernel_bandwidth(source, target))

    def mean_kernel(a: Tensor, b: Tensor) -> Tensor:
        squared = (a[:, None] - b[None]).square().sum(2)
        return sum(torch.exp(-squared / (h * 2**u)) for u in range(5)).mean()

    expected = mean_kernel(source, source) + mean_kernel(target, target)
    expected -= 2 * mean_kernel(source, target)
    found = lmmd(source, target, torch.zeros(6).long(), torch.ones(9, 1).double())
    torch.testing.assert_close(found, expected)
    assert found > 0


def test_without_a_common_class_or_a_distance_it_is_zero_with_a_gradient_of_zero():
    source, target = double(4, 3).requires_grad_(), double(4, 3).requires_grad_()
    labels, other = torch.zeros(4).long(), torch.tensor([[0.1, 0.9]] * 4).double()
    same = torch.ones(4, 3).double().requires_grad_()
    for value, x in (
        (lmmd(source, target, labels, other), source),
        (lmmd(same, same, labels, 1 - other), same),
    ):
        assert value == 0
        (gradient,) = torch.autograd.grad(value, x)
        assert torch.equal(gradient, torch.zeros_like(x))


def test_no_gradient_reaches_the_probabilities():
    probabilities = double(5, 2).softmax(1).requires_grad_()
    source = double(4, 3).requires_grad_()
    lmmd(source, double(5, 3), torch.tensor([0, 1, 0, 1]), probabilities).backward()
    assert probabilities.grad is None and source.grad is not None


def test_the_loss_of_a_domain_classifier_that_knows_nothing_is_two_bits():
    assert float(domain_loss(torch.zeros(3, 1), torch.zeros(8, 1))) == pytest.approx(
        2 * math.log(2)
    )
    sure = torch.full((4, 1), 50.0)
    assert float(domain_loss(-sure, sure)) == pytest.approx(0, abs=1e-12)
