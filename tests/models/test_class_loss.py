"""Cross-entropy over the classes that have a logit."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from cl_strategies.errors import UserError
from cl_strategies.plugins.classes.class_loss import PresentClassesLoss, over_present_classes
from cl_strategies.plugins.classes.class_order import ABSENT

OPTIONS: list[dict[str, Any]] = [
    {"label_smoothing": 0.1},
    {"weight": torch.arange(1.0, 6.0)},
    {"weight": torch.arange(1.0, 6.0), "label_smoothing": 0.2, "ignore_index": 3},
    {"label_smoothing": 0.3, "reduction": "sum"},
    {"label_smoothing": 0.3, "reduction": "none", "ignore_index": 3},
]


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    logits = torch.randn(8, 5, dtype=torch.float64, requires_grad=True)
    return logits, torch.tensor([0, 3, 1, 3, 0, 1, 1, 3])


@pytest.mark.parametrize("options", OPTIONS)
def test_with_all_classes_it_is_pytorchs(options: dict[str, Any]) -> None:
    logits, labels = batch()
    right = nn.CrossEntropyLoss(**options).double()(logits, labels)
    torch.testing.assert_close(PresentClassesLoss(**options)(logits, labels), right)


@pytest.mark.parametrize("options", OPTIONS)
def test_without_some_it_is_pytorchs_over_the_others(options: dict[str, Any]) -> None:
    logits, labels = batch()
    columns = [0, 1, 3]
    masked = logits.index_fill(1, torch.tensor([2, 4]), ABSENT)
    found = PresentClassesLoss(**options)(masked, labels).sum()
    fewer = {**options}
    if "weight" in options:
        fewer["weight"] = options["weight"][columns].double()
    if "ignore_index" in options:
        fewer["ignore_index"] = 2  # the position of class 3
    position = torch.tensor([0, 1, -1, 2])[labels]
    right = cross_entropy(logits[:, columns], position, **fewer).sum()
    torch.testing.assert_close(found, right)
    gradients = [torch.autograd.grad(loss, logits)[0] for loss in (found, right)]
    torch.testing.assert_close(*gradients)
    assert not gradients[0][:, [2, 4]].any()


def test_only_what_weighs_or_smooths_is_replaced() -> None:
    plain, own = nn.CrossEntropyLoss(), nn.MultiMarginLoss()
    assert over_present_classes(plain) is plain and over_present_classes(own) is own
    smooth = over_present_classes(nn.CrossEntropyLoss(label_smoothing=0.1))
    assert isinstance(smooth, PresentClassesLoss) and over_present_classes(smooth) is smooth


def test_weights_may_be_of_classes_to_come_but_not_of_fewer() -> None:
    loss = PresentClassesLoss(weight=torch.tensor([1.0, 3.0, 100.0]))
    logits, labels = torch.zeros(2, 2), torch.tensor([0, 1])
    assert loss(logits, labels).item() == pytest.approx(0.6931, abs=1e-4)
    with pytest.raises(UserError, match="weights for 3 classes, and there are 4 logits"):
        loss(torch.zeros(2, 4), labels)


def test_probabilities_as_targets_are_pytorchs() -> None:
    logits = torch.randn(4, 3)
    targets = torch.softmax(torch.randn(4, 3), 1)
    options = {"label_smoothing": 0.1}
    found = PresentClassesLoss(**options)(logits, targets)
    assert torch.equal(found, nn.CrossEntropyLoss(**options)(logits, targets))
