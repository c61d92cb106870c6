from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace

import pytest
import torch
from avalanche.models import MultiTaskModule, avalanche_forward
from avalanche.models.dynamic_modules import avalanche_model_adaptation
from torch import nn

from cl_strategies.errors import UserError
from cl_strategies.models.heads import (
    ABSENT,
    GrowingClassifier,
    MultiHead,
    MultiHeadModel,
    SingleHeadModel,
    with_head,
)


def experience(classes: Iterable[int], task: int = 0) -> SimpleNamespace:
    return SimpleNamespace(classes_in_this_experience=classes, task_labels=[task])


def adapt(module: nn.Module, classes: Iterable[int], task: int = 0) -> None:
    avalanche_model_adaptation(module, experience(classes, task))


@pytest.fixture
def features() -> torch.Tensor:
    return torch.randn(6, 3, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("classes", [[0, 4], {0, 4}])
def test_a_growing_head_makes_room_for_new_classes_and_keeps_old_weights(classes):
    head = GrowingClassifier(3)
    weight, bias = head.classifier.weight.detach().clone(), head.classifier.bias.detach().clone()

    adapt(head, classes)

    assert head.out_features == 5
    assert torch.equal(head.classifier.weight[:2], weight)
    assert torch.equal(head.classifier.bias[:2], bias)


def test_a_growing_head_does_not_shrink_or_replace_its_layer_for_old_classes():
    head = GrowingClassifier(3)
    adapt(head, [5])
    layer = head.classifier
    adapt(head, [0, 1])
    assert head.classifier is layer


def test_a_growing_head_gains_no_parameter_in_evaluation(features):
    head = GrowingClassifier(3).eval()
    before = head(features)

    adapt(head, [0, 7])
    logits = head(features)

    assert head.out_features == 2
    assert logits.shape == (6, 8)
    assert torch.equal(logits[:, :2], before)
    assert (logits[:, 2:] == ABSENT).all()
    assert nn.functional.cross_entropy(logits, torch.full((6,), 7)).isfinite()


def test_the_padding_of_unknown_classes_ends_with_the_evaluation(features):
    head = GrowingClassifier(3).eval()
    adapt(head, [7])
    head.train()
    assert head(features).shape == (6, 2)
    assert head.eval()(features).shape == (6, 2)


def test_a_growing_head_keeps_the_type_of_its_weights():
    head = GrowingClassifier(3).double()
    adapt(head, [4])
    assert head.classifier.weight.dtype == torch.float64


@pytest.mark.parametrize("classes", [[0, 1, 2], {0, 1, 2}])
def test_a_multi_head_gets_a_head_per_task(classes, features):
    head = MultiHead(3)
    adapt(head, classes, task=2)
    adapt(head, [0, 1], task=0)
    assert list(head.heads) == ["2", "0"]
    assert head(features, 2).shape == (6, 3)
    assert head(features, torch.zeros(6, dtype=torch.long)).shape == (6, 2)


def test_each_sample_passes_through_the_head_of_its_task(features):
    head = MultiHead(3)
    adapt(head, [0, 1, 2], task=0)
    adapt(head, [0, 1], task=5)
    labels = torch.tensor([0, 5, 0, 5, 5, 0])

    logits = head(features, labels)

    assert torch.allclose(logits[labels == 0], head(features[labels == 0], 0))
    assert torch.allclose(logits[labels == 5][:, :2], head(features[labels == 5], 5))
    assert (logits[labels == 5][:, 2] == ABSENT).all()


def test_all_heads_are_listed_in_the_order_of_their_tasks(features):
    head = MultiHead(3)
    for task in (3, 0, 11):
        adapt(head, [0, 1], task=task)
    assert list(head(features, None)) == [0, 3, 11]


def test_an_untrained_task_gets_uniform_logits_and_no_head(features):
    head = MultiHead(3)
    adapt(head, [0, 1], task=0)
    head.eval()
    adapt(head, [0, 1, 2], task=1)

    logits = head(features, torch.ones(6, dtype=torch.long))

    assert list(head.heads) == ["0"]
    assert torch.equal(logits, torch.zeros(6, 3))
    assert head.known_train_tasks_labels == {0}


def test_training_on_a_task_without_a_head_is_an_error(features):
    head = MultiHead(3)
    adapt(head, [0, 1], task=0)
    with pytest.raises(UserError, match=r"no head for task 4.*\[0\]"):
        head(features, 4)


def test_avalanche_passes_task_labels_to_the_task_model(features):
    model = with_head(nn.Identity(), 3, n_classes=2, scenario="task", head="auto")
    adapt(model, [0, 1], task=0)
    adapt(model, [0, 1], task=1)
    labels = torch.tensor([0, 1, 0, 1, 0, 1])

    logits = avalanche_forward(model, features, labels)

    assert isinstance(model, MultiTaskModule)
    assert torch.equal(logits[1::2], model.head.heads["1"](features)[1::2])
    assert avalanche_forward(model, features, None).keys() == {0, 1}


def test_the_scenario_decides_on_the_head():
    heads = {
        (scenario, head): with_head(nn.Identity(), 3, n_classes=10, scenario=scenario, head=head)
        for scenario, head in [("class", "auto"), ("domain", "auto"), ("class", "growing")]
    }
    assert all(isinstance(model, SingleHeadModel) for model in heads.values())
    assert heads["class", "auto"].head.out_features == 10
    assert heads["domain", "auto"].head.out_features == 10
    assert isinstance(heads["class", "growing"].head, GrowingClassifier)
    assert isinstance(
        with_head(nn.Identity(), 3, n_classes=2, scenario="task", head="auto"), MultiHeadModel
    )


@pytest.mark.parametrize(
    ("scenario", "head", "message"),
    [
        ("tasks", "auto", "scenario is 'tasks'"),
        ("class", "cosine", "head is 'cosine'"),
        ("task", "growing", "one per task"),
    ],
)
def test_a_head_that_does_not_fit_is_refused(scenario, head, message):
    with pytest.raises(UserError, match=message):
        with_head(nn.Identity(), 3, n_classes=10, scenario=scenario, head=head)
