from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace

import pytest
import torch
from avalanche.benchmarks.utils.classification_dataset import (
    _make_taskaware_classification_dataset,
)
from avalanche.models import MultiTaskModule, avalanche_forward
from avalanche.models.dynamic_modules import avalanche_model_adaptation
from torch import nn
from torch.utils.data import TensorDataset

from cl_strategies.errors import UserError
from cl_strategies.models.heads import (
    ABSENT,
    GrowingClassifier,
    MultiHead,
    MultiHeadModel,
    SingleHeadModel,
    with_head,
)
from cl_strategies.plugins.classes.class_order import classes_of


def experience(classes: Iterable[int], task: int = 0) -> SimpleNamespace:
    return SimpleNamespace(classes_in_this_experience=classes, task_labels=[task])


def adapt(module: nn.Module, classes: Iterable[int], task: int = 0) -> None:
    avalanche_model_adaptation(module, experience(classes, task))


@pytest.fixture
def features() -> torch.Tensor:
    return torch.randn(6, 3, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("classes", [[0, 4], {0, 4}])
def test_a_growing_head_makes_room_for_new_classes_and_keeps_old_weights(classes):
    head = GrowingClassifier(3, 2)
    weight, bias = head.classifier.weight.detach().clone(), head.classifier.bias.detach().clone()

    adapt(head, classes)

    assert head.out_features == 3 and head.arrival.classes == [0, 1, 4]
    assert torch.equal(head.classifier.weight[:2], weight)
    assert torch.equal(head.classifier.bias[:2], bias)


def test_units_follow_the_order_in_which_classes_come_and_logits_the_class_ids(features):
    head = GrowingClassifier(3)
    parameters = sum(p.numel() for p in head.parameters())
    adapt(head, [7, 4])
    adapt(head, [0, 4])

    logits, scores = head(features), head.classifier(features)

    assert parameters == 0 and head.arrival.classes == [4, 7, 0]
    assert torch.equal(logits[:, [4, 7, 0]], scores)
    assert logits.shape == (6, 8) and (logits[:, [1, 2, 3, 5, 6]] == ABSENT).all()
    assert torch.equal(head.by_class()(features), logits)


def test_new_units_start_as_in_other_implementations_and_old_ones_stay():
    head = GrowingClassifier(300)
    adapt(head, range(40))
    before = head.classifier.weight.detach().clone()
    adapt(head, range(40, 80))
    weight, bound = head.classifier.weight.detach(), (3 / 300) ** 0.5
    assert torch.equal(weight[:40], before)
    assert weight.abs().max() <= bound and weight[40:].abs().max() > 0.99 * bound
    assert not head.classifier.bias.any()


def test_the_order_of_the_units_is_part_of_the_state(features):
    head, other = GrowingClassifier(3), GrowingClassifier(3)
    adapt(head, [4, 2])
    adapt(head, [0])
    adapt(other, [0, 2, 4])
    other.load_state_dict(head.state_dict())
    assert torch.equal(other(features), head(features))


def test_an_experience_that_declares_no_classes_is_judged_by_its_labels():
    labels = {"targets": [5, 1, 5, 2], "targets_task_labels": [3, 3, 3, 0]}
    data = _make_taskaware_classification_dataset(
        TensorDataset(torch.zeros(4, 1), torch.tensor(labels["targets"])),
        targets=labels["targets"],
        task_labels=labels["targets_task_labels"],
    )
    part = SimpleNamespace(task_labels=[0, 3], dataset=data)
    assert classes_of(part) == [1, 2, 5]
    assert classes_of(part, 3) == [1, 5] and classes_of(part, 0) == [2]
    head = MultiHead(3)
    avalanche_model_adaptation(head, SimpleNamespace(task_labels=[3], dataset=data))
    assert head.heads["3"].arrival.classes == [1, 2, 5]
    with pytest.raises(UserError, match="neither classes_in_this_experience nor a data set"):
        classes_of(SimpleNamespace())


def test_a_growing_head_does_not_shrink_or_replace_its_layer_for_old_classes():
    head = GrowingClassifier(3)
    adapt(head, [0, 1, 5])
    layer = head.classifier
    adapt(head, [0, 1])
    assert head.classifier is layer


def test_a_growing_head_gains_no_parameter_in_evaluation(features):
    head = GrowingClassifier(3, 2).eval()
    before = head(features)

    adapt(head, [0, 7])
    logits = head(features)

    assert head.out_features == 2
    assert logits.shape == (6, 8)
    assert torch.equal(logits[:, :2], before)
    assert (logits[:, 2:] == ABSENT).all()
    assert nn.functional.cross_entropy(logits, torch.full((6,), 7)).isfinite()


def test_the_padding_of_unknown_classes_ends_with_the_evaluation(features):
    head = GrowingClassifier(3, 2).eval()
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
        ("tasks", "auto", "unknown scenario 'tasks'"),
        ("class", "cosine", "unknown head 'cosine'"),
        ("task", "growing", "one per task"),
    ],
)
def test_a_head_that_does_not_fit_is_refused(scenario, head, message):
    with pytest.raises(UserError, match=message):
        with_head(nn.Identity(), 3, n_classes=10, scenario=scenario, head=head)


def test_rows_of_a_head_of_fixed_size_begin_as_those_of_one_that_grows():
    torch.manual_seed(0)
    features, spread = 48, 0.25  # sqrt(3 / 48)
    models = {
        scenario: with_head(
            nn.Identity(), features, n_classes=40, scenario=scenario, head="auto"
        ).head
        for scenario in ("class", "domain")
    }
    assert not models["class"].bias.any()
    assert 0.9 * spread < models["class"].weight.abs().max() <= spread
    assert models["domain"].bias.any()
    assert models["domain"].weight.abs().max() <= features**-0.5
