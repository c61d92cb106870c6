"""A subnetwork per task: masks from scores, protection of old weights, storage in bits."""

import io
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from cl_strategies.errors import UserError
from cl_strategies.models.heads import MultiHeadModel
from cl_strategies.plugins.subnetworks.functional import top_mask, winning_weight
from cl_strategies.plugins.subnetworks.model import SubnetworkModel


def backbone():
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4 * 9, 13, bias=False),
        nn.Tanh(),
    )


def subnetworks(**options):
    return SubnetworkModel(MultiHeadModel(backbone(), 13), **options)


def images(n=40, seed=0):
    return torch.randn(n, 2, 6, 6, generator=torch.Generator().manual_seed(seed))


def begin(model, label):
    model.train()
    model.adaptation(SimpleNamespace(task_labels=[label], classes_in_this_experience=[0, 1, 2]))


def learn(model, label, steps=4, *, decay=0.1):
    """Train a task with an optimizer that moves weights without a gradient, too."""
    begin(model, label)
    task = model.current
    optimizer = torch.optim.Adam(model.parameters_of(task), lr=0.05, weight_decay=decay)
    for step in range(steps):
        optimizer.zero_grad()
        x = images(16, seed=100 * label + step)
        F.cross_entropy(model(x, label), torch.arange(16) % 3).backward()
        model.protect()
        optimizer.step()
        model.restore()
    model.finish()
    model.eval()


# ---------------------------------------------------------------------- functional core


@pytest.mark.parametrize("capacity", [0.01, 0.1, 0.33, 0.5, 0.999, 1.0])
def test_mask_selects_exactly_the_top_scores(capacity):
    scores = torch.randn(7, 5, 3, dtype=torch.float64)
    mask = top_mask(scores, capacity)
    count = max(1, round(capacity * 105))
    assert mask.dtype == torch.bool and mask.shape == scores.shape and mask.sum() == count
    assert count == 105 or scores[mask].min() > scores[~mask].max()


def test_of_equal_scores_the_first_are_selected():
    scores = torch.tensor([[1.0, 2.0, 1.0], [1.0, 0.0, 3.0]])
    assert top_mask(scores, 0.5).tolist() == [[True, True, False], [False, False, True]]
    assert top_mask(torch.zeros(4), 0.5).tolist() == [True, True, False, False]


@pytest.mark.parametrize("capacity", [0.0, -0.1, 1.1, float("nan")])
def test_capacity_out_of_range_is_refused(capacity):
    with pytest.raises(UserError, match="above 0 and up to 1"):
        top_mask(torch.zeros(3), capacity)
    with pytest.raises(UserError, match="above 0 and of at most 1"):
        subnetworks(capacity=capacity)


def test_gradients_are_those_of_the_product_and_pass_the_mask_straight_through():
    weight = torch.randn(4, 6, dtype=torch.float64, requires_grad=True)
    scores = torch.randn(4, 6, dtype=torch.float64, requires_grad=True)
    upstream = torch.randn(4, 6, dtype=torch.float64)
    mask = top_mask(scores, 0.4)
    result = winning_weight(weight, scores, 0.4)
    assert torch.equal(result, torch.where(mask, weight, 0.0))
    (result * upstream).sum().backward()
    assert torch.equal(weight.grad, torch.where(mask, upstream, 0.0))  # Eq. 3
    assert torch.equal(scores.grad, upstream * weight)  # Eq. 5


# ---------------------------------------------------------------------- masks of tasks


def test_each_task_uses_the_given_part_of_every_layer():
    model = subnetworks(capacity=0.3)
    learn(model, 4)
    learn(model, 1)
    for layer in model.layers.values():
        masks = [layer.tasks[name].mask() for name in ("4", "1")]
        assert all(mask.sum() == round(0.3 * mask.numel()) for mask in masks)
        assert not torch.equal(*masks)
        assert torch.equal(layer.used(), masks[0] | masks[1])
    assert 0.3 < model.used() <= 0.6


@pytest.mark.parametrize("ranking", ["magnitude", "value"])
def test_a_task_computes_with_its_masked_weights_while_and_after_it_learns(ranking):
    model = subnetworks(capacity=0.5, ranking=ranking)
    learn(model, 4)
    begin(model, 1)
    model.eval()
    with torch.no_grad():
        learning = [model(images(n), 1) for n in (4, 40)]
        scores = {name: layer.scores.detach().clone() for name, layer in model.layers.items()}
    model.finish()
    with torch.no_grad():
        for given, n in zip(learning, (4, 40), strict=True):
            assert torch.equal(model(images(n), 1), given)
    for name, layer in model.layers.items():
        key = scores[name].abs() if ranking == "magnitude" else scores[name]
        assert torch.equal(layer.tasks["1"].mask(), top_mask(key, 0.5))


def test_weights_of_earlier_tasks_never_move_and_the_others_do():
    model = subnetworks(capacity=0.4, fresh_scores=True)
    learn(model, 4)
    before = {name: layer.weight.detach().clone() for name, layer in model.layers.items()}
    used = {name: layer.used() for name, layer in model.layers.items()}
    begin(model, 1)
    model(images(), 1).square().mean().backward()
    model.protect()
    for name, layer in model.layers.items():
        assert (layer.weight.grad[used[name]] == 0).all()
        assert (layer.weight.grad[~used[name]] != 0).any()
        assert (layer.scores.grad[used[name]] != 0).any()
    model.finish()
    learn(model, 2)
    for name, layer in model.layers.items():
        assert torch.equal(layer.weight[used[name]], before[name][used[name]])
        assert not torch.equal(layer.weight, before[name])


@pytest.mark.parametrize("capacity", [0.3, 1.0])
@torch.no_grad()
def test_old_tasks_answer_with_the_same_bits_after_new_ones(capacity):
    model = subnetworks(capacity=capacity)
    labels = torch.tensor([4, 1]).repeat(5)
    with torch.enable_grad():
        learn(model, 4)
        learn(model, 1)
    before = [model(images(n), label) for label in (4, 1) for n in (4, 40)]
    mixed = model(images(10), labels)
    with torch.enable_grad():
        learn(model, 7)
    after = [model(images(n), label) for label in (4, 1) for n in (4, 40)]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert torch.equal(model(images(10), labels), mixed)


def test_scores_go_on_from_those_of_the_last_task_unless_drawn_anew():
    for fresh in (False, True):
        model = subnetworks(fresh_scores=fresh)
        begin(model, 4)
        last = {name: layer.scores.detach().clone() for name, layer in model.layers.items()}
        model.finish()
        assert bool(model.scores) is not fresh
        assert all(layer.scores is None for layer in model.layers.values())
        begin(model, 1)
        for name, layer in model.layers.items():
            assert torch.equal(layer.scores, last[name]) is not fresh


def test_optimized_are_weights_scores_and_what_the_task_alone_has():
    model = subnetworks()
    learn(model, 4)
    begin(model, 1)
    names = {id(p): name for name, p in model.named_parameters()}
    held = {names[id(p)] for p in model.parameters_of(model.current)}
    conv, norm, linear = (f"network.backbone.{n}" for n in (0, 1, 4))
    head = "network.head.heads.1.classifier"
    assert held == {
        *(f"{layer}.{part}" for layer in (conv, linear) for part in ("weight", "scores")),
        f"{conv}.tasks.1.bias",
        *(f"{norm}.tasks.1.{part}" for part in ("weight", "bias")),
        *(f"{head}.{part}" for part in ("weight", "bias")),
    }
    assert all(p.requires_grad for p in model.parameters_of(model.current))


# ---------------------------------------------------------------------- storage


def test_a_mask_takes_one_bit_per_weight():
    model = subnetworks()
    for label in (4, 1):
        learn(model, label, steps=1)
    conv, linear = (layer.tasks["1"] for layer in model.layers.values())
    assert conv.packed.nbytes == 72 // 8 and linear.packed.nbytes == -(-36 * 13 // 8)
    own = conv.packed.nbytes + linear.packed.nbytes + 4 * 4  # and the bias of the convolution
    norm, head = 4 * 4 * 4 + 8, (13 * 3 + 3) * 4
    assert model.stored_bytes() == {4: own + norm + head, 1: own + norm + head}
    names = set(model.state_dict())
    assert not any("scores" in name for name in names)


def test_a_saved_model_loads_into_a_new_one_with_all_its_tasks():
    model = subnetworks(capacity=0.3)
    learn(model, 4)
    learn(model, 1)
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    other = subnetworks(capacity=0.3)
    drawn = torch.random.get_rng_state()
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(drawn, torch.random.get_rng_state())
    other.eval()
    with torch.no_grad():
        for label in (4, 1):
            assert torch.equal(other(images(), label), model(images(), label))
    learn(other, 7)  # from scores drawn anew
    assert [task.label for task in other.tasks] == [4, 1, 7]


def test_another_ranking_is_refused():
    with pytest.raises(UserError, match="unknown ranking 'score'"):
        subnetworks(ranking="score")
