"""Gradient projection memory: bases, patches of convolutions, projected gradients and steps."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from cl_strategies.errors import UserError
from cl_strategies.models.heads import MultiHeadModel
from cl_strategies.plugins.projection.functional import (
    extend_basis,
    extend_basis_from_gram,
    project_out,
)
from cl_strategies.plugins.projection.layer_inputs import Representation, collect, input_columns
from cl_strategies.plugins.projection.plugin import GPMPlugin
from cl_strategies.plugins.projection.projected_layers import projected_parts


def representation(d, n, seed=0):
    """With singular values that fall fast."""
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(d, n, generator=generator, dtype=torch.float64)
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    return left * 0.7 ** torch.arange(min(d, n)).double() @ right


def orthonormal(d, m, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(d, m, generator=generator, dtype=torch.float64)).Q


def held(basis, matrix):
    return float((basis.T @ matrix).square().sum() / matrix.square().sum())


# ---------------------------------------------------------------------- functional core


@pytest.mark.parametrize("shape", [(8, 30), (30, 8), (120, 300), (300, 110), (9, 9)])
@pytest.mark.parametrize("m", [0, 3])
@pytest.mark.parametrize("threshold", [0.5, 0.9, 0.97, 0.999])
def test_basis_gets_the_fewest_directions_that_hold_the_part_asked_for(shape, m, threshold):
    matrix, old = representation(*shape), orthonormal(shape[0], m)
    basis = extend_basis(old, matrix, threshold)
    identity = torch.eye(basis.shape[1], dtype=torch.float64)
    torch.testing.assert_close(basis.T @ basis, identity, rtol=0, atol=1e-12)
    assert torch.equal(basis[:, :m], old)
    assert held(basis, matrix) >= threshold - 1e-12
    if basis.shape[1] > m:
        assert held(basis[:, :-1], matrix) < threshold

    rest = matrix - old @ (old.T @ matrix)  # Eq. 8, by the textbook
    left, values, _ = torch.linalg.svd(rest, full_matrices=False)
    added = basis.shape[1] - m
    energy = held(old, matrix) + values[:added].square().sum() / matrix.square().sum()
    assert held(basis, matrix) == pytest.approx(float(energy), abs=1e-10)
    expected = left[:, :added] @ left[:, :added].T
    torch.testing.assert_close(basis[:, m:] @ basis[:, m:].T, expected, rtol=0, atol=1e-8)


def test_basis_is_the_same_from_the_gram_matrix():
    matrix, old = representation(12, 40), orthonormal(12, 2)
    given = extend_basis_from_gram(old, matrix @ matrix.T, 0.95)
    expected = extend_basis(old, matrix, 0.95)
    assert given.shape == expected.shape
    torch.testing.assert_close(given @ given.T, expected @ expected.T, rtol=0, atol=1e-9)


def test_basis_of_everything_has_the_rank_of_the_inputs_and_one_that_holds_enough_stays():
    matrix = representation(10, 40)[:, :4]
    wide = matrix @ torch.randn(4, 40, dtype=torch.float64)
    empty = torch.zeros(10, 0, dtype=torch.float64)
    for given in (matrix, wide):
        basis = extend_basis(empty, given, 1.0)
        assert basis.shape == (10, 4)
        assert torch.equal(extend_basis(basis, given, 0.99), basis)
    assert extend_basis(empty, torch.zeros(10, 5), 0.9).shape == (10, 0)
    assert extend_basis(empty, torch.zeros(10, 50), 0.9).shape == (10, 0)
    assert extend_basis(empty, wide, 0.0).shape == (10, 0)
    full = torch.eye(10, dtype=torch.float64)
    assert torch.equal(extend_basis(full, wide, 1.0), full)


def test_inputs_that_are_not_finite_and_thresholds_out_of_range_are_refused():
    empty = torch.zeros(3, 0, dtype=torch.float64)
    for n in (2, 9):
        broken = torch.full((3, n), float("nan"))
        with pytest.raises(UserError, match="diverged"):
            extend_basis(empty, broken, 0.9)
        with pytest.raises(UserError, match="threshold is 1.1"):
            extend_basis(empty, torch.ones(3, n), 1.1)


@pytest.mark.parametrize("shape", [(5, 12), (5, 3, 2, 2)])
def test_projected_gradient_is_orthogonal_to_the_basis_and_nothing_else_is_lost(shape):
    gradient = torch.randn(shape, dtype=torch.float64)
    basis = orthonormal(12, 4)
    projected = project_out(gradient, basis)
    assert projected.shape == gradient.shape
    assert (projected.flatten(1) @ basis).abs().max() < 1e-13
    lost = (gradient - projected).flatten(1)
    torch.testing.assert_close(lost @ basis @ basis.T, lost, rtol=0, atol=1e-13)


# ---------------------------------------------------------------------- inputs of layers


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"stride": 2, "padding": 1},
        {"padding": "same", "dilation": 2},
        {"padding": 2, "padding_mode": "reflect"},
        {"groups": 2, "stride": 2},
        {"groups": 4},
    ],
)
def test_weights_times_columns_are_the_outputs_of_a_convolution(options):
    layer = nn.Conv2d(4, 8, 3, bias=False, dtype=torch.float64, **options)
    x = torch.randn(5, 4, 7, 6, dtype=torch.float64)
    columns = input_columns(layer, x)
    groups = layer.groups
    y = layer(x)
    assert columns.shape == (layer.weight[0].numel(), groups * y[:, 0].numel())
    products = layer.weight.flatten(1) @ columns  # every row with the patches of every group
    products = products.view(groups, 8 // groups, groups, 5, -1)
    own = torch.stack([products[g, :, g] for g in range(groups)])
    expected = y.flatten(2).view(5, groups, 8 // groups, -1).permute(1, 2, 0, 3)
    torch.testing.assert_close(own, expected, rtol=0, atol=1e-12)


def test_a_step_outside_the_basis_of_all_inputs_changes_no_output():
    for layer, x in (
        (nn.Linear(20, 5), torch.randn(6, 20)),
        (nn.Conv2d(3, 5, 3, padding=1, groups=1), torch.randn(1, 3, 3, 3)),
    ):
        layer, x = layer.double(), x.double()
        columns = input_columns(layer, x)
        basis = extend_basis(columns.new_zeros(len(columns), 0), columns, 1.0)
        assert basis.shape[1] < len(columns)
        before = layer(x)
        with torch.no_grad():
            step = torch.randn_like(layer.weight)
            layer.weight += project_out(step, basis)
        torch.testing.assert_close(layer(x), before, rtol=0, atol=1e-11)
        with torch.no_grad():
            layer.weight += step
        assert (layer(x) - before).abs().max() > 0.1


def test_columns_that_come_in_blocks_give_the_basis_of_all_of_them():
    matrix = representation(12, 40)
    for blocks in ((5, 6), (5, 5, 30), (40,)):
        n = sum(blocks)
        given = Representation()
        for block in matrix[:, :n].split(blocks, dim=1):
            given.add(block)
        basis = given.extend(None, 0.95)
        expected = extend_basis(matrix.new_zeros(12, 0), matrix[:, :n], 0.95)
        torch.testing.assert_close(basis @ basis.T, expected @ expected.T, rtol=0, atol=1e-9)
    with pytest.raises(UserError, match="not called with any input"):
        Representation().extend(None, 0.9)


def test_inputs_are_collected_in_evaluation_mode_which_is_then_undone():
    backbone = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Dropout(0.5), nn.Linear(3, 2))
    backbone.train()
    backbone[2].eval()
    layers = {"0": backbone[0], "3": backbone[3]}
    x = torch.randn(6, 4)
    statistics = backbone[1].running_mean.clone()
    found = collect(backbone, layers, [(x[:4],), (x[4:],)])
    assert torch.equal(backbone[1].running_mean, statistics)
    assert backbone.training and backbone[1].training and not backbone[2].training
    assert not backbone[0]._forward_pre_hooks
    backbone.eval()
    for name, inputs in (("0", x), ("3", backbone[:3](x).detach())):
        basis = found[name].extend(None, 0.9)
        expected = extend_basis(x.new_zeros(inputs.shape[1], 0).double(), inputs.T, 0.9)
        torch.testing.assert_close(basis @ basis.T, expected @ expected.T, rtol=0, atol=1e-6)


# ---------------------------------------------------------------------- parts and plugin


def network():
    backbone = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 9), nn.PReLU()
    )
    return MultiHeadModel(backbone, 9)


def test_heads_are_left_alone_and_biases_and_normalizations_frozen():
    model = network()
    model.adaptation(SimpleNamespace(task_labels=[0], classes_in_this_experience=[0, 1]))
    model.head.adaptation(SimpleNamespace(task_labels=[0], classes_in_this_experience=[0, 1]))
    parts = projected_parts(model)
    assert list(parts.layers) == ["backbone.0", "backbone.4"]
    assert list(parts.norms) == ["backbone.1", "backbone.5"]
    names = {id(p): name for name, p in model.named_parameters()}
    assert {names[id(p)] for p in parts.frozen()} == {
        "backbone.0.bias",
        "backbone.1.weight",
        "backbone.1.bias",
        "backbone.4.bias",
        "backbone.5.weight",
    }
    single = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    assert list(projected_parts(single).layers) == ["0", "1"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MultiHeadModel(nn.Flatten(), 4), "has none that tasks share"),
        (lambda: nn.Sequential(nn.Linear(4, 4), nn.GRU(4, 4)), "GRU with parameters"),
        (lambda: nn.Sequential(*[nn.Linear(4, 4)] * 2), "are the same parameter"),
    ],
)
def test_network_whose_gradients_cannot_be_projected_is_refused(make, message):
    network = make()
    if message.startswith("are the same"):
        network = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
        network[1].weight = network[0].weight
    with pytest.raises(UserError, match=message):
        projected_parts(network)


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda p: torch.optim.SGD(p, lr=0.1),
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01),
        lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1),
    ],
)
def test_gradients_and_steps_are_orthogonal_to_the_basis_whatever_the_optimizer(optimizer):
    layer = nn.Linear(12, 7, bias=False).double()
    basis = orthonormal(12, 5)
    plugin = GPMPlugin()
    plugin._shared = [(layer.weight, basis)]
    strategy = SimpleNamespace(optimizer=optimizer(layer.parameters()), model=layer)
    for _ in range(4):
        strategy.optimizer.zero_grad()
        F.mse_loss(layer(torch.randn(9, 12).double()), torch.randn(9, 7).double()).backward()
        plugin.before_update(strategy)
        gradient, before = layer.weight.grad.clone(), layer.weight.detach().clone()
        strategy.optimizer.step()
        plugin.after_update(strategy)
        step = layer.weight.detach() - before
        assert (gradient @ basis).norm() < 1e-12 * gradient.norm()
        assert (step @ basis).norm() < 1e-12 * step.norm() and step.norm() > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 0.0}, "threshold is 0.0"),
        ({"threshold": 1.5}, "threshold is 1.5"),
        ({"increment": -0.1}, "increment is -0.1"),
        ({"samples": 0}, "samples is 0"),
        ({"threshold": "a"}, "threshold is 'a', a str: give a number above 0 and of at most 1"),
        ({"increment": None}, "increment is None"),
        ({"samples": [1]}, r"samples is \[1\], a list: give an integer of at least 1"),
        ({"samples": 1.5}, "samples is 1.5"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        GPMPlugin(**options)
