"""Knowledge projection: bases of outputs, coefficients, the penalty, and the model of them."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from cl_strategies.errors import UserError
from cl_strategies.models.heads import MultiHeadModel
from cl_strategies.plugins.projection.basis_model import BasisModel
from cl_strategies.plugins.projection.functional import (
    basis_coefficients,
    basis_penalty,
    compose_weight,
    extend_output_basis,
)
from cl_strategies.plugins.projection.layer_outputs import OutputRepresentation, collect_outputs

VECTORS = np.load(Path(__file__).parents[2] / "golden" / "rows" / "bmkp.npz")


def vector(name):
    return torch.from_numpy(VECTORS[name])


def random(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def orthonormal(d, m, seed=1):
    return torch.linalg.qr(random(d, m, seed=seed)).Q


def share(basis, matrix):
    return float((basis.T @ matrix).square().sum() / matrix.square().sum())


# ---------------------------------------------------------------------- functional core


@pytest.mark.parametrize("case", ["basis0", "basis1"])
def test_reference_vectors(case):
    first = vector(f"{case}_first_representation")
    grown = extend_output_basis(first[:, :0], first, float(VECTORS[f"{case}_first_threshold"]))
    assert grown.shape[1] == VECTORS[f"{case}_first_width"]
    torch.testing.assert_close(
        grown @ grown.T, vector(f"{case}_first_projector"), rtol=1e-9, atol=1e-12
    )

    basis, weight = vector(f"{case}_basis"), vector(f"{case}_weight").requires_grad_()
    more = extend_output_basis(
        basis, vector(f"{case}_representation"), float(VECTORS[f"{case}_threshold"])
    )
    assert more.shape[1] == VECTORS[f"{case}_width"] and more.dtype == torch.float64
    torch.testing.assert_close(more @ more.T, vector(f"{case}_projector"), rtol=1e-9, atol=1e-12)

    coefficients = basis_coefficients(basis, weight)
    torch.testing.assert_close(coefficients, vector(f"{case}_coefficients"), rtol=1e-9, atol=1e-12)
    composed = compose_weight(basis, coefficients, weight.shape)
    torch.testing.assert_close(composed, vector(f"{case}_composed"), rtol=1e-9, atol=1e-12)
    penalty = basis_penalty(basis.requires_grad_(), weight)
    torch.testing.assert_close(penalty, vector(f"{case}_penalty"), rtol=1e-9, atol=0)
    penalty.backward()
    torch.testing.assert_close(weight.grad, vector(f"{case}_d_weight"), rtol=1e-8, atol=1e-12)
    assert basis.grad is None


@pytest.mark.parametrize("threshold", [0.5, 0.9, 0.99, 1.0])
def test_an_extension_keeps_old_columns_and_holds_the_share(threshold):
    old, outputs = orthonormal(7, 2), random(7, 30, seed=2)
    basis = extend_output_basis(old, outputs, threshold)
    assert torch.equal(basis[:, :2], old)
    torch.testing.assert_close(basis.T @ basis, torch.eye(basis.shape[1]).double())
    assert share(basis, outputs) >= threshold - 1e-12
    if basis.shape[1] > 2:
        assert share(basis[:, :-1], outputs) < threshold


def test_the_first_basis_stays_just_below_the_share_and_threshold_1_takes_everything():
    outputs = random(6, 40)
    for threshold in (0.3, 0.6, 0.9):
        basis = extend_output_basis(outputs[:, :0], outputs, threshold)
        assert share(basis, outputs) < threshold
        larger = torch.linalg.svd(outputs)[0][:, : basis.shape[1] + 1]
        assert share(larger, outputs) >= threshold
    assert extend_output_basis(outputs[:, :0], outputs, 1.0).shape == (6, 6)
    assert extend_output_basis(outputs[:, :0], outputs, 0.0).shape == (6, 0)
    flat = outputs[:, :1] @ random(1, 9)
    assert extend_output_basis(outputs[:, :0], flat, 1.0).shape == (6, 1)  # no more is there


def test_a_full_basis_and_outputs_of_zero_add_nothing():
    full = orthonormal(5, 5)
    assert torch.equal(extend_output_basis(full, random(5, 20), 1.0), full)
    old = orthonormal(5, 2)
    for threshold in (0.5, 1.0):
        assert torch.equal(extend_output_basis(old, torch.zeros(5, 9).double(), threshold), old)
        none = extend_output_basis(old[:, :0], torch.zeros(5, 9).double(), threshold)
        assert none.shape == (5, 0)


def test_a_full_basis_composes_any_weights_and_has_the_smallest_penalty():
    full, weight = orthonormal(5, 5), random(5, 3, 2, 2)
    coefficients = basis_coefficients(full, weight)
    torch.testing.assert_close(compose_weight(full, coefficients, weight.shape), weight)
    assert basis_penalty(full, weight).item() == pytest.approx(1.0)


def test_columns_that_later_tasks_add_do_not_count():
    basis, weight = orthonormal(6, 4), random(6, 3)
    coefficients = basis_coefficients(basis[:, :2], weight)
    composed = compose_weight(basis, coefficients, weight.shape)
    torch.testing.assert_close(composed, basis[:, :2] @ coefficients)


def test_the_penalty_is_that_of_the_matrix_in_the_paper():
    basis, weight = orthonormal(6, 2), random(6, 5, seed=4)
    outside = weight - basis @ basis.T @ weight
    stacked = torch.cat([basis.T, outside.T])
    gram = stacked.T @ stacked
    expected = gram.trace() / gram.sum()
    torch.testing.assert_close(basis_penalty(basis, weight), expected)
    assert torch.autograd.gradcheck(lambda w: basis_penalty(basis, w), weight.requires_grad_())


@pytest.mark.parametrize("threshold", [-0.1, 1.01, float("nan")])
def test_a_threshold_out_of_range_is_refused(threshold):
    with pytest.raises(UserError, match="from 0 to 1"):
        extend_output_basis(orthonormal(4, 1), random(4, 6), threshold)


def test_outputs_that_are_not_finite_are_refused():
    with pytest.raises(UserError, match="diverged"):
        extend_output_basis(orthonormal(4, 1), torch.full((4, 3), torch.nan).double(), 0.5)


# ---------------------------------------------------------------------- outputs of layers


def test_a_representation_keeps_singular_vectors_and_values_in_few_columns():
    bias, blocks = random(5), [random(9, 5, 2, 3, seed=n) for n in range(3)]
    kept = OutputRepresentation()
    for block in blocks:
        kept.add(block + bias.view(-1, 1, 1), bias)
    rows = torch.cat(blocks).transpose(0, 1).flatten(1)
    assert kept.matrix.shape == (5, 5)
    torch.testing.assert_close(kept.matrix @ kept.matrix.T, rows @ rows.T)
    sequence = OutputRepresentation()
    sequence.add(random(2, 3, 5), None)
    torch.testing.assert_close(sequence.matrix @ sequence.matrix.T, random(6, 5).T @ random(6, 5))


# ---------------------------------------------------------------------- model


def backbone():
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4 * 9, 13),
        nn.Tanh(),
    )


def remembering(**options):
    torch.manual_seed(0)
    return BasisModel(MultiHeadModel(backbone(), 13), **options)


def images(n=40, seed=0):
    return torch.randn(n, 2, 6, 6, generator=torch.Generator().manual_seed(seed))


def begin(model, label):
    model.train()
    model.adaptation(SimpleNamespace(task_labels=[label], classes_in_this_experience=[0, 1, 2]))


def steps(model, label, count=4):
    optimizer = torch.optim.Adam(model.parameters_of(model.current), lr=0.05, weight_decay=0.1)
    for step in range(count):
        optimizer.zero_grad()
        x = images(16, seed=100 * label + step)
        loss = F.cross_entropy(model(x, label), torch.arange(16) % 3)
        penalty = model.penalty()
        (loss if penalty is None else loss + penalty).backward()
        optimizer.step()


def learn(model, label):
    begin(model, label)
    steps(model, label)
    model.remember([(images(60, seed=label), label)])
    steps(model, label)
    model.finish()
    model.eval()


@torch.no_grad()
def answers(model, label):
    model.eval()
    return [model(images(50), label), model(images(3), label)]


def test_thresholds_of_1_reproduce_the_trained_network():
    model = remembering(first_threshold=1.0, threshold=1.0)
    for label in range(2):
        begin(model, label)
        steps(model, label)
        before = answers(model, label)
        model.remember([(images(60, seed=label), label)])
        assert not model.learning
        for mine, theirs in zip(answers(model, label), before, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)
        model.finish()


def test_later_tasks_leave_the_answers_and_tensors_of_old_ones_alone():
    model = remembering(first_threshold=0.8, threshold=0.9)
    learn(model, 0)
    before, tensors = answers(model, 0), {k: v.clone() for k, v in model.state_dict().items()}
    widths = model.ranks()[0]
    for label in (1, 2):
        learn(model, label)
    assert all(torch.equal(a, b) for a, b in zip(answers(model, 0), before, strict=True))
    del tensors["_extra_state"]
    assert all(torch.equal(model.state_dict()[k], v) for k, v in tensors.items())
    ranks = model.ranks()
    assert ranks[0] == widths
    assert all(ranks[0][n] <= ranks[1][n] <= ranks[2][n] for n in widths)
    assert ranks[2] != ranks[0]


def test_the_basis_stays_orthonormal_and_holds_the_share_of_each_task():
    model = remembering(first_threshold=0.8, threshold=0.9)
    for label in range(3):
        begin(model, label)
        steps(model, label)
        outputs = collect_outputs(model, model.layers, [(images(60, seed=label), label)])
        model.remember([(images(60, seed=label), label)])
        for name, layer in model.layers.items():
            basis = layer.basis(layer.tasks[str(label)]).double()
            torch.testing.assert_close(
                basis.T @ basis, torch.eye(basis.shape[1]).double(), rtol=1e-5, atol=1e-5
            )
            if label:
                assert share(basis, outputs[name]) >= 0.9 - 1e-5
        model.finish()


def test_a_threshold_that_no_direction_meets_keeps_the_leading_one():
    model = remembering(first_threshold=0.0, threshold=0.0)
    learn(model, 0)
    learn(model, 1)
    assert model.ranks() == {label: {"backbone.0": 1, "backbone.4": 1} for label in range(2)}


def test_the_working_network_goes_on_from_its_own_weights():
    model = remembering()
    begin(model, 0)
    steps(model, 0)
    free = model.layers["backbone.0"].tasks["0"].weight.detach().clone()
    model.remember([(images(60), 0)])
    assert torch.equal(model.working["backbone.0"], free)
    assert model.layers["backbone.0"].weight is None and model.penalty() is None
    model.finish()
    begin(model, 1)
    assert torch.equal(model.layers["backbone.0"].tasks["1"].weight, free)
    assert model.penalty() > 0


def test_a_model_loads_what_another_has_learned_at_any_time():
    model = remembering()
    learn(model, 0)
    begin(model, 1)
    for stage in ("free", "remembered"):
        if stage == "remembered":
            model.remember([(images(60), 1)])
        other = remembering()
        other.load_state_dict(model.state_dict())
        assert other.learning == (stage == "free") == model.learning
        for label in (0, 1):
            pairs = zip(answers(other, label), answers(model, label), strict=True)
            assert all(torch.equal(a, b) for a, b in pairs)
        model.train()


def test_layers_without_use_are_named():
    class Idle(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.spare = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x):
            return self.used(x)

    model = BasisModel(MultiHeadModel(Idle(), 4))
    begin(model, 0)
    with pytest.raises(UserError, match=r"backbone\.spare: not called"):
        model.remember([(torch.randn(5, 4), 0)])
