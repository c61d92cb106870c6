"""Networks with layers of their own per task: per-task normalization and BatchEnsemble."""

import io
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from cl_strategies.errors import UserError
from cl_strategies.models.heads import MultiHeadModel
from cl_strategies.plugins.low_rank.model import HALRPModel
from cl_strategies.plugins.subnetworks.model import SubnetworkModel
from cl_strategies.plugins.task_layers.ensemble import EnsembleModel
from cl_strategies.plugins.task_layers.functional import fast_linear, fast_weight
from cl_strategies.plugins.task_layers.normalization import NormalizationModel


def experience(label, classes=(0, 1, 2)):
    return SimpleNamespace(task_labels=[label], classes_in_this_experience=list(classes))


def plain():
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 12), nn.Tanh()
    )


def normalized():
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2, padding=1, groups=2, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4 * 9, 12),
        nn.LayerNorm(12),
        nn.Dropout(0.5),
    )


def network(backbone=normalized):
    return MultiHeadModel(backbone(), 12)


def images(n=40, seed=0):
    return torch.randn(n, 2, 6, 6, generator=torch.Generator().manual_seed(seed))


def learn(model, label, steps=3):
    """Train a task a little."""
    model.train()
    model.adaptation(experience(label))
    optimizer = torch.optim.Adam(model.parameters_of(model.current), lr=0.05)
    for step in range(steps):
        x = images(16, seed=100 * label + step)
        optimizer.zero_grad()
        F.cross_entropy(model(x, label), torch.arange(16) % 3).backward()
        optimizer.step()
    model.finish()
    model.eval()


@torch.no_grad()
def outputs(model, labels=(4, 1)):
    """Of each task: a large batch, a small one, and one mixed with the other tasks."""
    mixed = model(images(10), torch.tensor(labels).repeat(5))
    return [*(model(images(n), label) for label in labels for n in (40, 4)), mixed]


KINDS = {"batch-norm": NormalizationModel, "batch-ensemble": EnsembleModel}


# ---------------------------------------------------------------------- functional core


@pytest.mark.parametrize("shape", [(3, 4), (3, 4, 2, 5)])
def test_fast_weights_scale_each_output_and_each_input(shape):
    slow = torch.randn(shape, dtype=torch.float64)
    outputs, inputs = torch.randn(3, dtype=torch.float64), torch.randn(4, dtype=torch.float64)
    expected = torch.einsum("ji...,j,i->ji...", slow, outputs, inputs)
    torch.testing.assert_close(fast_weight(slow, outputs, inputs), expected, rtol=0, atol=1e-14)


def test_a_linear_layer_without_its_fast_weight_computes_the_same():
    x, slow = torch.randn(2, 7, 4, dtype=torch.float64), torch.randn(3, 4, dtype=torch.float64)
    outputs, inputs, bias = (torch.randn(n, dtype=torch.float64) for n in (3, 4, 3))
    expected = F.linear(x, fast_weight(slow, outputs, inputs), bias)
    given = fast_linear(x, slow, outputs, inputs, bias)
    torch.testing.assert_close(given, expected, rtol=0, atol=1e-13)
    assert torch.equal(fast_linear(x, slow, outputs, inputs), F.linear(x * inputs, slow) * outputs)


# ---------------------------------------------------------------------- both kinds


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("backbone", [plain, normalized])
def test_old_tasks_answer_with_the_same_bits_after_new_ones(kind, backbone):
    model = kind(network(backbone))
    learn(model, 4)
    learn(model, 1)
    before = outputs(model)
    learn(model, 7)
    after = outputs(model)
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert (after[0] - after[2]).abs().max() > 1e-2


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_only_the_first_task_trains_what_is_shared(kind):
    model = kind(network())
    model.train()
    model.adaptation(experience(3))
    shared = {id(p) for p in model.shared_parameters()}
    assert shared <= {id(p) for p in model.parameters_of(model.current)}
    assert shared and {id(p) for p in model.parameters_of(model.current)} == {
        id(p) for p in model.parameters()
    }
    old = {id(p) for p in model.parameters()}
    model.finish()
    model.adaptation(experience(0))
    new = {id(p) for p in model.parameters()} - old
    assert {id(p) for p in model.parameters_of(model.current)} == new
    assert all(p.requires_grad == (id(p) in new) for p in model.parameters())


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_batch_of_several_tasks_is_answered_by_each_samples_own_task(kind):
    model = kind(network())
    for label in (4, 1):
        with torch.enable_grad():
            learn(model, label)
    labels = torch.tensor([4, 1, 1, 4, 1])
    mixed = model(images(5), labels)
    for label in (4, 1):
        rows = labels == label
        torch.testing.assert_close(mixed[rows], model(images(5)[rows], label))


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("backbone", [plain, normalized])
def test_a_saved_model_loads_into_a_new_one_with_all_its_tasks(kind, backbone):
    model = kind(network(backbone))
    for label in (4, 1):
        learn(model, label)
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    other = kind(network(backbone))
    other.load_state_dict(torch.load(file, weights_only=True))
    other.eval()
    assert all(torch.equal(a, b) for a, b in zip(outputs(model), outputs(other), strict=True))
    assert other.structure() == model.structure()


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_growth_is_what_later_tasks_store(kind):
    model = kind(network())
    assert model.growth() == 0
    for label in (4, 1, 2):
        learn(model, label, steps=1)
    norms = (4 + 4 + 4 + 4) * 4 + 8 + (12 + 12) * 4  # with statistics and the count of batches
    head = (12 * 3 + 3) * 4
    layers = 0 if kind is NormalizationModel else ((4 + 1) + (12 + 36) + 12) * 4
    assert model.stored_bytes()[1] == model.stored_bytes()[2] == norms + head + layers
    shared = sum(p.numel() for p in model.shared_parameters()) * 4
    assert model.growth() == pytest.approx(
        2 * model.stored_bytes()[1] / (shared + norms + head + layers)
    )


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize(
    ("given", "message"),
    [
        (SimpleNamespace(classes_in_this_experience=[0]), "no task labels"),
        (SimpleNamespace(classes_in_this_experience=[0], task_labels=[0, 1]), r"\[0, 1\]"),
        (experience(7), "task label 7 was already learned"),
    ],
)
def test_an_experience_without_a_label_of_its_own_is_refused(kind, given, message):
    model = kind(network())
    learn(model, 7, steps=1)
    model.train()
    with pytest.raises(UserError, match=f"{message}.*|{kind.method}.*{message}"):
        model.adaptation(given)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MultiHeadModel(nn.Flatten(), 4), "none below its heads"),
        (lambda: nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2)), "multi-head"),
        (lambda: MultiHeadModel(nn.GRU(4, 4), 4), "GRU with parameters"),
    ],
)
def test_a_network_that_cannot_be_divided_is_refused_and_left_alone(kind, make, message):
    given = make()
    before = [type(module) for module in given.modules()]
    with pytest.raises(UserError, match=f"{kind.method}.*{message}|{message}.*{kind.method}"):
        kind(given)
    assert [type(module) for module in given.modules()] == before


# ---------------------------------------------------------------------- normalization


def test_a_batch_norm_is_put_behind_every_layer_of_a_network_without_any():
    given = network(plain)
    NormalizationModel(given)
    kinds = [type(m).__mro__ for m in given.backbone.modules()]
    assert sum(nn.BatchNorm2d in kind for kind in kinds) == 1
    assert sum(nn.BatchNorm1d in kind for kind in kinds) == 1
    assert given.backbone[0][0].out_channels == given.backbone[0][1].base.num_features == 4
    given = network(normalized)
    before = [type(m) for m in given.backbone.modules()]
    model = NormalizationModel(given)
    assert len(model.norms) == 2
    assert len(list(given.backbone.modules())) == len(before) + 4  # a wrapper and a dictionary each


def test_a_network_without_normalization_is_refused_where_none_may_be_inserted():
    given = network(plain)
    before = [type(module) for module in given.modules()]
    with pytest.raises(UserError, match=r"has none with parameters.*insert=True"):
        NormalizationModel(given, insert=False)
    assert [type(module) for module in given.modules()] == before
    affine = MultiHeadModel(nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4, affine=False)), 4)
    with pytest.raises(UserError, match="has none with parameters"):
        NormalizationModel(affine, insert=False)


def test_an_inserted_batch_norm_trains_on_a_batch_of_one():
    model = NormalizationModel(network(plain))
    model.train()
    model.adaptation(experience(0))
    model(images(1), 0).sum().backward()


# ---------------------------------------------------------------------- BatchEnsemble


def test_a_task_of_an_ensemble_computes_with_slow_times_fast_weights():
    model = EnsembleModel(network(plain))
    learn(model, 4)
    learn(model, 1)
    reference = network(plain)
    for name, layer in model.layers.items():
        entry = layer.tasks["1"]
        target = reference.get_submodule(name)
        with torch.no_grad():
            target.weight.copy_(fast_weight(layer.weight, entry.outputs, entry.inputs))
            target.bias.copy_(entry.bias)
        assert layer.bias is None
    reference.head.heads["1"] = model.head.heads["1"]
    reference.eval()
    for n in (2, 40):  # factors and materialized weights
        expected = reference(images(n), 1)
        torch.testing.assert_close(model(images(n), 1), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("start", ["ones", "first", "signs"])
def test_fast_weights_begin_as_asked(start):
    model = EnsembleModel(network(plain), start=start)
    learn(model, 4)
    model.train()
    model.adaptation(experience(1))
    for layer in model.layers.values():
        first, new = layer.tasks["4"], layer.tasks["1"]
        for name in ("outputs", "inputs"):
            mine, other = getattr(new, name), getattr(first, name)
            if start == "first":
                assert torch.equal(mine, other)
            elif start == "ones":
                assert torch.equal(mine, torch.ones_like(mine))
            else:
                assert torch.equal(mine.abs(), torch.ones_like(mine))
        assert torch.equal(new.bias, first.bias)
        assert start != "signs" or len(new.inputs) < 9 or new.inputs.std() > 0.5


def test_another_start_is_refused():
    with pytest.raises(UserError, match="unknown start 'one': did you mean ones"):
        EnsembleModel(network(plain), start="one")


@pytest.mark.parametrize("kind", [HALRPModel, SubnetworkModel, EnsembleModel, NormalizationModel])
def test_what_is_frozen_when_the_model_is_handed_in_is_the_same_for_all_tasks(kind):
    """A convolution, weights of a linear layer, the bias of another, a normalization's scale."""
    torch.manual_seed(0)
    body = nn.Sequential(
        nn.Conv2d(2, 3, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(12, 9), nn.Linear(9, 12)
    )
    body.extend([nn.LayerNorm(12), nn.Linear(12, 12)])
    nn.init.uniform_(body[5].weight)
    frozen = [*body[0].parameters(), body[3].weight, body[4].bias, body[5].weight]
    for parameter in frozen:
        parameter.requires_grad_(False)
    values = [parameter.detach().clone() for parameter in frozen]
    trained = body[3].bias.detach().clone()

    model = kind(MultiHeadModel(body, 12))
    for label in range(3):
        learn(model, label)

    found = list(model.parameters())
    for value in values:
        same = [p for p in found if p.shape == value.shape and torch.equal(p, value)]
        assert same and not any(p.requires_grad for p in same)
    assert not any(p.shape == (9,) and torch.equal(p, trained) for p in found)
    convolutions = [p for p in found if p.shape == (3, 2, 3, 3)]
    assert len(convolutions) == 1  # shared, without scales, masks or copies
