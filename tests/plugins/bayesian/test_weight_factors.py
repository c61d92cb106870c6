"""Weights made of factors: functions, layers, a network of them."""

import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from cl_strategies.errors import UserError
from cl_strategies.models.heads import MultiHeadModel
from cl_strategies.plugins.bayesian.factor_model import FactorModel
from cl_strategies.plugins.bayesian.functional import (
    expected_selection,
    factored_weight,
    free_factors,
    protect_factors,
)

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "rows" / "ibp_wf.npz"


@pytest.fixture(scope="module")
def vectors():
    return {name: torch.as_tensor(value) for name, value in np.load(GOLDEN).items()}


def backbone():
    return nn.Sequential(
        nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(6 * 9, 13, bias=False),
        nn.Tanh(),
        nn.Linear(13, 12),
    )


def model(**options):
    torch.manual_seed(0)
    return FactorModel(MultiHeadModel(backbone(), 12), **options)


def images(n=40, seed=0):
    return torch.randn(n, 4, 6, 6, generator=torch.Generator().manual_seed(seed))


def begin(given, label):
    given.train()
    given.adaptation(SimpleNamespace(task_labels=[label], classes_in_this_experience=[0, 1, 2]))


def learn(given, label, steps=4, decay=0.1):
    """Train a task with an optimizer that moves weights without a gradient, too."""
    begin(given, label)
    optimizer = torch.optim.Adam(given.parameters_of(given.current), lr=0.05, weight_decay=decay)
    for step in range(steps):
        optimizer.zero_grad()
        loss = F.cross_entropy(given(images(16, 100 * label + step), label), torch.arange(16) % 3)
        (loss + given.divergence() / 100).backward()
        given.protect()
        optimizer.step()
        given.restore()
    given.finish()
    given.eval()


# ---------------------------------------------------------------------- functional core


def test_the_weight_is_that_of_the_vectors(vectors):
    parts = (vectors[f"weight0_{name}"] for name in ("left", "right", "selection", "strength"))
    torch.testing.assert_close(factored_weight(*parts), vectors["weight0_value"], rtol=1e-9, atol=0)


def test_protection_is_that_of_the_vectors(vectors):
    posteriors, threshold = vectors["protect0_posteriors"], float(vectors["protect0_threshold"])
    free = free_factors(posteriors, threshold=threshold)
    assert torch.equal(free, vectors["protect0_free"])
    gradients = vectors["protect0_left_gradient"], vectors["protect0_right_gradient"]
    left, right = protect_factors(*gradients, free)
    assert torch.equal(left, vectors["protect0_left"])
    assert torch.equal(right, vectors["protect0_right"])
    expected = expected_selection(posteriors[0], threshold=threshold)
    assert torch.equal(expected, vectors["protect0_expected"])


@pytest.mark.parametrize(("inputs", "outputs"), [(7, 5), (5, 7)])
@pytest.mark.parametrize("more", [0, 3])
def test_as_many_factors_as_the_smaller_side_represent_any_weight(inputs, outputs, more):
    target = torch.randn(inputs, outputs, dtype=torch.float64)
    u, s, v = torch.linalg.svd(target, full_matrices=False)
    left = torch.cat([u * s, torch.randn(inputs, more, dtype=torch.float64)], dim=1)
    right = torch.cat([v, torch.zeros(more, outputs, dtype=torch.float64)])
    one = torch.ones(len(s) + more, dtype=torch.float64)
    given = factored_weight(left, right, expected_selection(one), one)
    torch.testing.assert_close(given, target, rtol=0, atol=1e-12)


def test_without_earlier_tasks_all_factors_are_free():
    assert free_factors(torch.zeros(0, 4)).tolist() == [True] * 4
    with pytest.raises(UserError, match="a row for each earlier task"):
        free_factors(torch.zeros(4))


def test_the_expectation_has_gradients_where_it_is_used_alone():
    p = torch.tensor([0.59, 0.6, 0.9], dtype=torch.float64, requires_grad=True)
    expected_selection(p, threshold=0.6).sum().backward()
    assert p.grad.tolist() == [0.0, 1.0, 1.0]


# ---------------------------------------------------------------------- layers


@torch.no_grad()
def test_a_layer_can_take_any_weights_of_the_network_that_it_replaces():
    """With all factors in use at full strength, as many as the smaller side."""
    plain = MultiHeadModel(backbone(), 12)
    given = model(factors=1.0)
    begin(given, 0)
    given.eval()
    plain.head.heads["0"] = given.head.heads["0"]
    for name, layer in given.layers.items():
        target = plain.get_submodule(name)
        entry = layer.tasks["0"]
        rows = [target.weight.flatten(1).t()]
        if target.bias is not None:
            rows.append(target.bias.detach()[None])
        u, s, v = torch.linalg.svd(torch.cat(rows), full_matrices=False)
        count = layer.factors
        kept = torch.cat([(u * s)[:, :count], v[:count].t()])
        if len(s) > count:  # the bias makes one more: leave it out
            u, s, v = torch.linalg.svd(rows[0], full_matrices=False)
            kept = torch.cat([u * s, torch.zeros(1, count), v.t()])
            target.bias.zero_()
        layer.weight.copy_(kept.t())
        entry.logits.fill_(50.0)
        entry.strength.fill_(1.0)
    plain.eval()
    for n in (3, 40):
        torch.testing.assert_close(given(images(n), 0), plain(images(n), 0), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_factors_applied_one_after_the_other_compute_what_their_product_does():
    given = model()
    begin(given, 0)
    given.eval()
    small = torch.cat([given(images(40)[i : i + 2], 0) for i in range(0, 40, 2)])
    torch.testing.assert_close(small, given(images(40), 0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "counts"),
    [
        ({}, [18, 39, 36]),
        ({"factors": 1.0}, [6, 13, 12]),
        ({"factors": 0.5}, [3, 6, 6]),
        ({"max_factors": 20}, [18, 20, 20]),
        ({"max_factors": 1}, [6, 13, 12]),
    ],
)
def test_the_number_of_factors_follows_the_layer(options, counts):
    given = model(**options)
    assert [layer.factors for layer in given.layers.values()] == counts


@torch.no_grad()
def test_weights_of_the_first_task_begin_as_large_as_those_that_they_replace():
    torch.manual_seed(0)
    layer = nn.Linear(300, 200, bias=False)
    size = layer.weight.square().mean().sqrt()
    given = FactorModel(MultiHeadModel(nn.Sequential(layer), 200))
    begin(given, 0)
    weight = given.network.backbone[0].tasks["0"].weight(given.network.backbone[0].weight)
    assert weight.square().mean().sqrt() == pytest.approx(float(size), rel=0.3)


# ---------------------------------------------------------------------- tasks


def test_the_layers_clear_the_gradients_that_the_core_clears():
    given = model()
    learn(given, 4)
    begin(given, 1)
    given(images(), 1).square().sum().backward()
    gradients = [layer.weight.grad.clone() for layer in given.layers.values()]
    given.protect()
    for layer, gradient in zip(given.layers.values(), gradients, strict=True):
        free = free_factors(layer.tasks["4"].probability()[None])
        left, right = gradient[:, : layer.inputs].t(), gradient[:, layer.inputs :]
        expected = protect_factors(left, right, free)
        assert torch.equal(layer.weight.grad, torch.cat([expected[0].t(), expected[1]], dim=1))
        assert gradient[~free].abs().max() > 0 and 0 < int(free.sum()) < len(free)


def test_factors_in_use_never_move_and_the_others_do():
    given = model()
    learn(given, 4)
    layers = given.layers.values()
    used = [layer.tasks["4"].probability() >= 0.6 for layer in layers]
    before = [layer.weight.detach().clone() for layer in layers]
    assert all(0 < int(mask.sum()) < len(mask) for mask in used)
    learn(given, 1)
    for layer, mask, old in zip(layers, used, before, strict=True):
        assert torch.equal(layer.weight[mask], old[mask])
        assert not torch.equal(layer.weight[~mask], old[~mask])


@torch.no_grad()
def test_old_tasks_answer_with_the_same_bits_even_after_a_training_that_diverged():
    given = model()
    labels = torch.tensor([4, 1]).repeat(5)
    with torch.enable_grad():
        learn(given, 4)
        learn(given, 1)
    before = [given(images(n), label) for label in (4, 1) for n in (4, 40)]
    mixed = given(images(10), labels)
    with torch.enable_grad():
        learn(given, 7)
        begin(given, 9)
    for layer in given.layers.values():
        free = torch.ones(layer.factors, dtype=torch.bool).index_fill_(0, layer._used, False)
        layer.weight[free] = torch.nan
    given.finish()
    given.eval()
    after = [given(images(n), label) for label in (4, 1) for n in (4, 40)]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert torch.equal(given(images(10), labels), mixed)


def test_a_task_begins_with_the_selection_of_the_one_before_and_strengths_of_its_own():
    given = model()
    learn(given, 4)
    begin(given, 1)
    for name, layer in given.layers.items():
        first, second = layer.tasks["4"], layer.tasks["1"]
        assert torch.equal(first.logits, second.logits)
        assert not torch.equal(first.strength, second.strength)
        assert torch.equal(layer.sticks, given.sticks[name])


def test_a_step_has_one_sample_which_evaluation_does_not_draw():
    given = model()
    begin(given, 0)
    first = given(images(), 0)
    assert torch.equal(first, given(images(), 0))
    given.restore()  # the optimizer has stepped
    assert not torch.equal(first, given(images(), 0))
    given.eval()
    state = torch.random.get_rng_state()
    with torch.no_grad():
        assert torch.equal(given(images(), 0), given(images(), 0))
    assert torch.equal(state, torch.random.get_rng_state())


def test_the_divergence_vanishes_at_the_prior_on_average():
    """Strengths of zero, sticks and probabilities of the prior: what is left is that of a sample
    of the prior from its mean."""
    given = model(alpha=1e6)  # sticks of hardly any spread, probabilities of nearly one
    begin(given, 0)
    values = []
    with torch.no_grad():
        for entry in given.entries(given.current).values():
            entry.strength.zero_()
        for _ in range(20):
            given.restore()
            values.append(float(given.divergence()))
    assert max(map(abs, values)) < 1e-3
    given.begin_fine_tuning()
    assert given.divergence() is None


def test_frozen_weights_and_biases_stay():
    body = backbone()
    body[0].weight.requires_grad_(False)
    body[6].bias.requires_grad_(False)
    kept = body[0].weight.clone(), body[6].bias.clone()
    given = FactorModel(MultiHeadModel(body, 12))
    learn(given, 0)
    learn(given, 1)
    assert len(given.layers) == 3 - 1
    found = [p for p in given.parameters() if any(torch.equal(p, k) for k in kept)]
    assert len(found) == 2 and not any(p.requires_grad for p in found)
    assert given.layers["backbone.6"].inputs == 13


def test_a_network_of_frozen_layers_still_learns_heads_and_normalizations():
    body = backbone()
    for layer in (body[0], body[4], body[6]):
        layer.requires_grad_(False)
    given = FactorModel(MultiHeadModel(body, 12))
    begin(given, 0)
    assert given.divergence() is None
    given(images(), 0).sum().backward()
    given.protect()
    given.restore()
    given.finish()
    assert given.used() == {0: 0.0}


def test_a_saved_model_loads_into_a_new_one_with_all_its_tasks():
    given = model()
    learn(given, 4)
    learn(given, 1)
    file = io.BytesIO()
    torch.save(given.state_dict(), file)
    file.seek(0)
    other = model()
    drawn = torch.random.get_rng_state()
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(drawn, torch.random.get_rng_state())
    other.eval()
    with torch.no_grad():
        for label in (4, 1):
            assert torch.equal(other(images(), label), given(images(), label))
    assert other.used() == given.used()


def test_a_task_stores_two_numbers_for_each_factor():
    given = model()
    learn(given, 4)
    learn(given, 1)
    factors = sum(layer.factors for layer in given.layers.values())
    norm, head = 6 * 4 * 4 + 8, (12 * 3 + 3) * 4
    assert given.stored_bytes()[1] == 2 * factors * 4 + norm + head
    assert not any("sticks" in name for name in given.state_dict())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"factors": 0.0}, "factors is 0.0"),
        ({"max_factors": 0}, "max_factors is 0"),
        ({"alpha": -1.0}, "alpha is -1.0"),
        ({"threshold": 1.0}, "threshold is 1.0"),
        ({"temperature": 0.0}, "temperature is 0.0"),
        ({"deviation": 0.0}, "deviation is 0.0"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        model(**options)
