"""Incremental rank updates: the weights of a task out of the columns of all, their number."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from cl_strategies.errors import UserError
from cl_strategies.models.heads import MultiHeadModel
from cl_strategies.plugins.low_rank.functional import (
    initial_selector,
    rank_update_size,
    selected_weight,
)
from cl_strategies.plugins.low_rank.rank_model import RankUpdateModel

VECTORS = np.load(Path(__file__).parents[2] / "golden" / "rows" / "iru.npz")


def vector(name):
    return torch.from_numpy(VECTORS[name])


# ---------------------------------------------------------------------- functional core


@pytest.mark.parametrize("case", ["iru0", "iru1"])
def test_reference_vectors_of_weights(case):
    weight = selected_weight(*(vector(f"{case}_{part}") for part in ("left", "right", "selector")))
    torch.testing.assert_close(weight, vector(f"{case}_weight"), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("case", ["selector0", "selector1"])
def test_reference_vectors_of_selectors(case):
    found = initial_selector(*VECTORS[f"{case}_old_new"].tolist())
    assert torch.equal(found, vector(f"{case}_value"))


def test_reference_vectors_of_sizes():
    rows = zip(VECTORS["count_out_in_task_first_added"], VECTORS["count_value"], strict=True)
    for (outputs, inputs, task, first, added), expected in rows:
        found = rank_update_size(
            int(outputs), int(inputs), task=int(task), first_rank=int(first), added_rank=int(added)
        )
        assert found == expected


def test_columns_of_full_rank_represent_any_weights():
    weight = torch.randn(4, 6, dtype=torch.float64)
    left, values, right = torch.linalg.svd(weight, full_matrices=False)
    torch.testing.assert_close(selected_weight(left, right.T, values), weight)


def test_gradients_reach_columns_and_selector_but_not_columns_of_later_tasks():
    left, right = (torch.randn(n, 4, dtype=torch.float64, requires_grad=True) for n in (3, 5))
    selector = torch.randn(2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(selected_weight, (left, right, selector))
    selected_weight(left, right, selector).sum().backward()
    assert not left.grad[:, 2:].any() and not right.grad[:, 2:].any() and left.grad[:, :2].any()


def test_numbers_out_of_range_are_refused():
    with pytest.raises(UserError, match="numbers from 0"):
        initial_selector(-1, 2)
    with pytest.raises(UserError, match="numbers from 0"):
        rank_update_size(3, 3, task=-1)


# ---------------------------------------------------------------------- model


def backbone():
    return nn.Sequential(
        nn.Conv2d(2, 6, 3, stride=2, padding=1, groups=2),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(6 * 9, 13),
        nn.Tanh(),
        nn.Linear(13, 12, bias=False),
    )


def growing(**options):
    torch.manual_seed(0)
    return RankUpdateModel(MultiHeadModel(backbone(), 12), **options)


def images(n=40, seed=0):
    return torch.randn(n, 2, 6, 6, generator=torch.Generator().manual_seed(seed))


def begin(model, label):
    model.train()
    model.adaptation(SimpleNamespace(task_labels=[label], classes_in_this_experience=[0, 1, 2]))


def learn(model, label, steps=4):
    """Train a task with an optimizer that moves weights without a gradient, too."""
    begin(model, label)
    optimizer = torch.optim.AdamW(model.parameters_of(model.current), lr=0.05, weight_decay=0.5)
    for step in range(steps):
        optimizer.zero_grad()
        x = images(16, seed=100 * label + step)
        F.cross_entropy(model(x, label), torch.arange(16) % 3).backward()
        optimizer.step()
    model.finish()
    model.eval()


@torch.no_grad()
def answers(model, label):
    model.eval()
    return [model(images(50), label), model(images(3), label)]


def test_a_task_stores_as_many_numbers_as_the_formula_says():
    model = growing(first_rank=5, added_rank=2)
    for label in range(3):
        learn(model, label)
    for layer in model.layers.values():
        outputs, inputs = layer.shape[0], layer.shape[1:].numel()
        for position, entry in enumerate(layer.tasks.values()):
            found = sum(t.numel() for t in (entry.left, entry.right, entry.selector))
            expected = rank_update_size(outputs, inputs, task=position, first_rank=5, added_rank=2)
            assert found == expected


def test_the_rank_is_at_most_the_smaller_side():
    model = growing(first_rank=11, added_rank=20)
    learn(model, 0)
    learn(model, 1)
    assert model.ranks() == {
        0: {"backbone.0": 6, "backbone.4": 11, "backbone.6": 11},
        1: {"backbone.0": 6, "backbone.4": 13, "backbone.6": 12},
    }


def test_a_task_begins_with_its_new_columns_alone_which_are_orthonormal():
    model = growing(first_rank=4, added_rank=2)
    learn(model, 0)
    begin(model, 1)
    for layer in model.layers.values():
        entry = layer.tasks["1"]
        for columns in (entry.left, entry.right):
            torch.testing.assert_close(columns.T @ columns, torch.eye(2), atol=1e-5, rtol=0)
        assert entry.selector.tolist() == [0, 0, 0, 0, 1, 1]
        weight = layer.weight_of(entry).flatten(1)
        torch.testing.assert_close(weight, entry.left @ entry.right.T)
        assert entry.bias is None or not entry.bias.any()


def test_later_tasks_leave_columns_and_answers_of_old_ones_alone():
    model = growing()
    learn(model, 0)
    before, tensors = answers(model, 0), {k: v.clone() for k, v in model.state_dict().items()}
    for label in (1, 2):
        learn(model, label)
    assert all(torch.equal(a, b) for a, b in zip(answers(model, 0), before, strict=True))
    del tensors["_extra_state"]
    assert all(torch.equal(model.state_dict()[k], v) for k, v in tensors.items())
    selector = model.layers["backbone.4"].tasks["2"].selector
    assert len(selector) == 13 and bool((selector[:12] != 0).all())  # old columns are reused


def test_factors_and_weights_give_the_same_answers():
    model = growing()
    learn(model, 0)
    learn(model, 1)
    model.eval()
    with torch.no_grad():
        large, small = model(images(), 1), model(images()[:3], 1)
    torch.testing.assert_close(large[:3], small, rtol=1e-4, atol=1e-5)


def test_a_model_loads_what_another_has_learned():
    model = growing(first_rank=5, added_rank=2)
    learn(model, 0)
    begin(model, 1)
    other = growing(first_rank=3)  # the state says how many columns there are
    other.load_state_dict(model.state_dict())
    assert other.ranks() == model.ranks() and other.current.label == 1
    for label in (0, 1):
        pairs = zip(answers(other, label), answers(model, label), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)


def test_frozen_weights_and_biases_stay_those_of_the_user():
    network = MultiHeadModel(backbone(), 12)
    kept = network.backbone[0].weight.requires_grad_(False).clone()
    bias = network.backbone[4].bias.requires_grad_(False).clone()
    model = RankUpdateModel(network)
    for label in range(2):
        learn(model, label)
        assert torch.equal(model.layers["backbone.4"].tasks[str(label)].bias, bias)
    assert list(model.layers) == ["backbone.4", "backbone.6"]
    assert any(torch.equal(p, kept) for p in model.parameters())


@pytest.mark.parametrize("options", [{"first_rank": 0}, {"added_rank": 0}, {"added_rank": 1.5}])
def test_ranks_out_of_range_are_refused(options):
    with pytest.raises(UserError, match=next(iter(options))):
        growing(**options)
