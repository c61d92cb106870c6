"""HALRP's steps on a model: importance, decomposition, limits, pruning, regularizer."""

import math
import warnings
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from cl_strategies.errors import UserError
from cl_strategies.models.heads import MultiHeadModel
from cl_strategies.plugins.low_rank.algorithm import LowRankPerturbation
from cl_strategies.plugins.low_rank.functional import (
    Spectrum,
    fisher_mean,
    grad_norm,
    least_squares_scales,
    residual,
    select_ranks,
)
from cl_strategies.plugins.low_rank.model import HALRPModel
from cl_strategies.plugins.low_rank.storage_size import LayerRank
from cl_strategies.plugins.metrics.resources import parameter_bytes

NO_LIMIT = 1e9  # networks


def experience(label):
    return SimpleNamespace(task_labels=[label], classes_in_this_experience=[0, 1, 2])


def backbone():
    return nn.Sequential(
        nn.Conv2d(1, 5, 3, padding=1),
        nn.BatchNorm2d(5),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(5 * 16, 10),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(10, 7),
    )


def batches(sizes=(8, 8, 5), seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [
        (
            torch.randn(n, 1, 4, 4, generator=generator),
            torch.randint(0, 3, (n,), generator=generator),
        )
        for n in sizes
    ]


def trained(model, steps=5):
    """Move the weights of the current task."""
    optimizer = torch.optim.Adam(model.parameters_of(model.current), lr=0.02)
    for x, y in (batches() * steps)[:steps]:
        optimizer.zero_grad()
        F.cross_entropy(model(x, model.current.label), y).backward()
        optimizer.step()


def warmed_up(seed=0):
    """A model whose second task has free weights, away from the base."""
    torch.manual_seed(seed)
    model = HALRPModel(MultiHeadModel(backbone(), 7)).train()
    model.adaptation(experience(0))
    trained(model)
    model.finish()
    model.adaptation(experience(1))
    trained(model)
    return model


def free_weights(model):
    return [entry.weight for entry in model.entries(model.current).values()]


@pytest.mark.parametrize(
    ("name", "function"), [("grad_norm", grad_norm), ("fisher_mean", fisher_mean)]
)
def test_importance_is_that_of_the_gradients_in_evaluation_mode(name, function):
    model = warmed_up()
    statistics = {k: v.clone() for k, v in model.state_dict().items()}
    importance = LowRankPerturbation(importance=name).layer_importance(
        model, batches(), F.cross_entropy
    )
    assert model.training
    model.eval()
    gradients = []
    for x, y in batches():
        loss = F.cross_entropy(model(x, 1), y)
        gradients.append(torch.autograd.grad(loss, free_weights(model)))
    for layer, value in enumerate(importance):
        expected = function([g[layer] for g in gradients], [8, 8, 5])
        assert value == pytest.approx(expected.item(), rel=1e-5)
    for key, value in statistics.items():
        assert torch.equal(model.state_dict()[key], value)


def test_decomposition_is_that_of_the_paper():
    model = warmed_up()
    algorithm = LowRankPerturbation(alpha=0.8)
    importance = algorithm.layer_importance(model, batches(), F.cross_entropy)
    free = [weight.detach().clone() for weight in free_weights(model)]
    biases = [entry.bias.detach().clone() for entry in model.entries(model.current).values()]

    ranks = algorithm.decompose(model, batches(), F.cross_entropy)

    spectra, area = [], torch.tensor([9, 1, 1])
    for weight, (_, layer), bias in zip(free, model.layers.items(), biases, strict=True):
        row, column = least_squares_scales(weight.double(), layer.weight.double())
        spectra.append(Spectrum(residual(weight.double(), layer.weight.double(), row, column)))
        entry = layer.tasks["1"]
        torch.testing.assert_close(entry.row, row.float())
        torch.testing.assert_close(entry.column, column.float())
        assert torch.equal(entry.bias, bias)
    assert ranks == select_ranks([s.values for s in spectra], importance * area, alpha=0.8)
    assert 0 < sum(ranks) < 5 + 10 + 7
    for spectrum, rank, layer in zip(spectra, ranks, model.layers.values(), strict=True):
        left, right = spectrum.factors(rank)
        entry = layer.tasks["1"]
        torch.testing.assert_close(entry.left @ entry.right, (left @ right).float())
    assert not model.warming_up
    assert all(p.requires_grad for p in model.parameters_of(model.current))


def test_full_ranks_give_the_freely_trained_linear_layers_back():
    model = warmed_up()
    free = free_weights(model)
    LowRankPerturbation(alpha=1.0).decompose(model, batches(), F.cross_entropy)
    layers = list(model.layers.values())
    for layer, weight in list(zip(layers, free, strict=True))[1:]:
        torch.testing.assert_close(layer.tasks["1"].weight(layer.weight), weight)


def test_size_falls_with_alpha_and_with_the_limits():
    def size(**options):
        model = warmed_up()
        LowRankPerturbation(**options).decompose(model, batches(), F.cross_entropy)
        return model.sizes()[1], model.base_size()

    sizes = [size(alpha=alpha)[0].low_rank for alpha in (0.5, 0.9, 0.99, 1.0)]
    assert sizes == sorted(sizes) and sizes[0] < sizes[1] < sizes[3]
    fixed = size(alpha=0.0)[0].total
    for growth in (0.3, 0.5, 0.7):
        stored, base = size(alpha=1.0, max_growth=growth)
        assert growth * base - 90 < stored.total <= growth * base
    assert size(alpha=1.0, max_growth=0.1)[0].total == fixed > 0.1 * base
    assert size(alpha=1.0, max_rank=1)[0].low_rank == (5 + 1) + (80 + 10) + (10 + 7)


def test_without_a_cap_the_rule_of_the_paper_decides():
    capped, free = warmed_up(), warmed_up()
    ranks = LowRankPerturbation(alpha=0.9).decompose(free, batches(), F.cross_entropy)
    LowRankPerturbation(alpha=0.9, max_growth=NO_LIMIT).decompose(
        capped, batches(), F.cross_entropy
    )
    assert (
        free.ranks()
        == capped.ranks()
        == {1: {name: LayerRank(rank, rank) for name, rank in zip(free.layers, ranks, strict=True)}}
    )
    assert sum(ranks) > 0


def test_layers_that_the_cap_leaves_without_rank_are_named_once_and_kept_on_record():
    free = warmed_up()
    LowRankPerturbation(alpha=0.99).decompose(free, batches(), F.cross_entropy)
    chosen = {name: rank.kept for name, rank in free.ranks()[1].items()}

    model = warmed_up()
    with pytest.warns(UserWarning, match="max_growth=0.01 leaves task 1 without") as told:
        LowRankPerturbation(alpha=0.99, max_growth=0.01).decompose(
            model, batches(), F.cross_entropy
        )
    assert len(told) == 1
    for name, rank in chosen.items():
        assert rank == 0 or f"{name} (rank {rank} by Eq. 11)" in str(told[0].message)
    assert model.ranks()[1] == {name: LayerRank(rank, 0) for name, rank in chosen.items()}

    copied = HALRPModel(MultiHeadModel(backbone(), 7)).train()
    copied.load_state_dict(model.state_dict())
    assert copied.ranks() == model.ranks()


def test_a_cap_that_leaves_every_layer_some_rank_is_not_warned_of():
    full = warmed_up()
    LowRankPerturbation(alpha=1.0).decompose(full, batches(), F.cross_entropy)
    model = warmed_up()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LowRankPerturbation(
            alpha=1.0, max_growth=(full.sizes()[1].total - 1) / full.base_size()
        ).decompose(model, batches(), F.cross_entropy)
    ranks = model.ranks()[1].values()
    assert all(rank.kept for rank in ranks)
    assert sum(rank.selected - rank.kept for rank in ranks) == 1


def test_ablations_take_no_more_room_than_the_selection_they_replace():
    def size(selection, seed):
        model = warmed_up()
        torch.manual_seed(seed)
        LowRankPerturbation(selection=selection, alpha=0.8, max_growth=0.7).decompose(
            model, batches(), F.cross_entropy
        )
        return model.sizes()[1].low_rank

    for seed in range(3):
        assert 0 < size("random", seed) <= size("hessian", seed)
    assert size("unweighted", 0) > 0


def test_unweighted_selection_reads_no_data():
    model = warmed_up()
    LowRankPerturbation(selection="unweighted").decompose(model, [], F.cross_entropy)
    assert not model.warming_up
    model = warmed_up()
    with pytest.raises(UserError, match="no data"):
        LowRankPerturbation().decompose(model, [], F.cross_entropy)


def test_task_that_did_not_move_gets_no_ranks_and_scales_of_one():
    model = HALRPModel(MultiHeadModel(backbone(), 7)).train()
    for label in (0, 1):
        model.adaptation(experience(label))
        if label == 0:
            model.finish()
    ranks = LowRankPerturbation(alpha=0.9).decompose(model, batches(), F.cross_entropy)
    entry = model.layers["backbone.4"].tasks["1"]
    torch.testing.assert_close(entry.row, torch.ones(10))
    torch.testing.assert_close(entry.left @ entry.right, torch.zeros(10, 80), atol=1e-6, rtol=0)
    assert sum(ranks) <= 22


def decomposed(alpha=1.0, tasks=1, **options):
    model = warmed_up()
    algorithm = LowRankPerturbation(alpha=alpha, **options)
    algorithm.decompose(model, batches(), F.cross_entropy)
    for label in range(2, tasks + 1):
        model.finish()
        model.adaptation(experience(label))
        trained(model)
        algorithm.decompose(model, batches(), F.cross_entropy)
    return model, algorithm


def low_rank(model, label):
    factors = model.factors(model.task(label)).values()
    return [t.detach().clone() for entry in factors for t in (entry.left, entry.right)]


@pytest.mark.parametrize(
    ("pruning", "options"),
    [
        ("absolute", {"threshold": 0.05}),
        ("percentile", {"gamma": 0.3}),
        ("mixed", {"gamma": 0.3, "threshold": 1e-5}),
        ("budget", {"gamma": 0.6}),
    ],
)
def test_pruning_of_the_newest_task_leaves_old_ones_alone(pruning, options):
    model, algorithm = decomposed(pruning=pruning, tasks=2, **options)
    old, new = low_rank(model, 1), low_rank(model, 2)
    fixed = model.growth() - model.sizes()[2].low_rank / model.base_size()
    if pruning == "budget":
        algorithm = LowRankPerturbation(pruning="budget", gamma=fixed + 0.05)
    algorithm.prune(model)
    assert all(torch.equal(a, b) for a, b in zip(old, low_rank(model, 1), strict=True))
    before = sum(t.numel() for t in new)
    kept = model.sizes()[2].low_rank
    if pruning in ("percentile", "mixed"):
        assert kept == pytest.approx(0.3 * before, abs=1)
    if pruning == "absolute":
        assert kept == sum(int((t.abs() > 0.05).sum()) for t in new) < before
    if pruning == "budget":
        assert fixed + 0.05 - 1 / model.base_size() < model.growth() <= fixed + 0.05


def test_pruning_of_all_tasks_pools_them():
    model, algorithm = decomposed(pruning="percentile", gamma=0.5, tasks=2, prune_old_tasks=True)
    pool = torch.cat([t.abs().flatten() for t in low_rank(model, 1) + low_rank(model, 2)])
    algorithm.prune(model)
    kept = [model.sizes()[label].low_rank for label in (1, 2)]
    assert sum(kept) == pytest.approx(len(pool) / 2, abs=1)
    assert sum(int(t.count_nonzero()) for t in low_rank(model, 1)) == kept[0] < len(pool) / 2


@pytest.mark.parametrize("old", [True, False])
def test_growth_within_the_limit_is_left_alone_and_beyond_it_the_share_that_undoes_it_is_kept(old):
    model, _ = decomposed(pruning="none", tasks=2)
    before = {label: low_rank(model, label) for label in (1, 2)}
    growth, base = model.growth(), model.base_size()
    limited = {"pruning": "limited", "threshold": 0.0, "prune_old_tasks": old}
    LowRankPerturbation(gamma=growth, **limited).prune(model)
    for label, factors in before.items():
        assert all(torch.equal(a, b) for a, b in zip(factors, low_rank(model, label), strict=True))

    gamma = growth / 2
    for _ in range(2):  # zeros of the first time count, so that the second prunes nothing more
        LowRankPerturbation(gamma=gamma, **limited).prune(model)
        entries = {label: sum(t.numel() for t in before[label]) for label in (1, 2)}
        pruned = sum(entries.values()) if old else entries[2]
        kept = sum(model.sizes()[label].low_rank for label in ((1, 2) if old else (2,)))
        assert kept == pytest.approx(pruned / 2, abs=1)
        assert model.growth() == pytest.approx(growth - (pruned - kept) / base)
        assert model.growth(zeros=True) == pytest.approx(growth)


def test_the_absolute_threshold_holds_beyond_the_limit_of_growth():
    model, _ = decomposed(pruning="none")
    before = torch.cat([t.flatten() for t in low_rank(model, 1)])
    LowRankPerturbation(pruning="limited", gamma=model.growth() * 0.99, threshold=0.05).prune(model)
    assert model.sizes()[1].low_rank == int((before.abs() > 0.05).sum()) < 0.95 * len(before)


def test_pruned_entries_take_a_bit_each_in_the_bytes_of_the_model():
    model, _ = decomposed(pruning="none")
    whole = parameter_bytes(model)
    assert model.pruned_bytes() == 0
    LowRankPerturbation(pruning="percentile", gamma=0.25).prune(model)
    expected = 0
    for factor in low_rank(model, 1):
        zeros = int((factor == 0).sum())
        expected += max(factor.element_size() * zeros - math.ceil(factor.numel() / 8), 0)
    assert parameter_bytes(model) == whole - expected < whole


def test_no_pruning_changes_nothing():
    model, algorithm = decomposed(pruning="none")
    before = low_rank(model, 1)
    algorithm.prune(model)
    assert all(torch.equal(a, b) for a, b in zip(before, low_rank(model, 1), strict=True))


def test_budget_that_the_fixed_parts_exceed_is_refused():
    model, _ = decomposed()
    with pytest.raises(UserError, match="allows no low-rank entry"):
        LowRankPerturbation(pruning="budget", gamma=0.01).prune(model)


def test_regularizer_belongs_to_fine_tuning_alone():
    algorithm = LowRankPerturbation(l1=0.1, l2=0.01)
    model = warmed_up()
    for parameter in model.parameters_of(model.current):
        parameter.grad = torch.zeros_like(parameter)
    algorithm.add_regularizer_gradient(model)
    assert algorithm.regularizer(model) == 0
    assert not any(p.grad.any() for p in model.parameters_of(model.current))

    model, _ = decomposed()
    own = model.parameters_of(model.current)
    expected = torch.autograd.grad(algorithm.regularizer(model), own, allow_unused=True)
    for parameter in own:
        parameter.grad = torch.zeros_like(parameter)
    algorithm.add_regularizer_gradient(model)
    assert sum(gradient is not None for gradient in expected) == 4 * 3
    for parameter, gradient in zip(own, expected, strict=True):
        target = torch.zeros_like(parameter) if gradient is None else gradient
        torch.testing.assert_close(parameter.grad, target)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": 1.5}, "alpha is 1.5"),
        ({"l1": -1.0}, "l1 is -1"),
        ({"l2": float("nan")}, "l2 is nan"),
        ({"gamma": 2.0, "pruning": "percentile"}, "gamma is 2"),
        ({"max_rank": -1}, "max_rank is -1"),
        ({"importance": "gradnorm"}, "grad_norm"),
        ({"selection": "all"}, "selection"),
        ({"pruning": "mixt"}, "mixed"),
    ],
)
def test_hyper_parameters_out_of_range_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        LowRankPerturbation(**options)


def test_steps_out_of_order_are_refused():
    model, algorithm = decomposed()
    for step in (algorithm.decompose, algorithm.layer_importance):
        with pytest.raises(UserError, match="no task is warming up"):
            step(model, batches(), F.cross_entropy)
    with pytest.raises(UserError, match="no task is warming up"):
        model.set_factors({})
