"""SCP: importances against their definition, the expectation, and what the penalty does."""

from __future__ import annotations

import doctest
import math

import pytest
import torch
from avalanche.training.templates import SupervisedTemplate
from torch import nn

from cl_strategies.benchmarks import permuted_digits
from cl_strategies.errors import UserError
from cl_strategies.plugins.regularization import sliced_preservation as sliced
from cl_strategies.plugins.regularization.scp import SCPPlugin
from cl_strategies.plugins.regularization.sliced_preservation import (
    fewest_rows,
    sliced_importance,
    sphere,
)


def network(dtype=torch.float64, seed=0):
    torch.manual_seed(seed)
    layers = nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.Tanh(), nn.Linear(12, 10))
    return layers.to(dtype)


def by_definition(model, x, directions):
    """One backward pass for each slice, squared, averaged."""
    totals = [torch.zeros_like(p) for p in model.parameters()]
    for direction in directions:
        model.zero_grad()
        (model(x).mean(0) @ direction).backward()
        for total, parameter in zip(totals, model.parameters(), strict=True):
            total += parameter.grad.square() / len(directions)
    return totals


@pytest.mark.parametrize("slices", [1, 7, 10, 50])
def test_importances_are_the_mean_squared_derivatives_of_the_slices(slices):
    model, x = network(), torch.randn(20, 64, dtype=torch.float64)
    directions = sphere(slices, 10, x)
    found = sliced_importance(model(x).mean(0), list(model.parameters()), directions)
    for a, b in zip(found, by_definition(model, x, directions), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-14)


def test_more_slices_than_outputs_cost_no_more_gradients_than_outputs():
    assert fewest_rows(sphere(50, 10, torch.zeros(()))).shape == (10, 10)
    assert fewest_rows(sphere(4, 10, torch.zeros(()))).shape == (4, 10)


def test_many_slices_approach_the_expectation_over_the_sphere():
    torch.manual_seed(1)
    model, x = network(), torch.randn(20, 64, dtype=torch.float64)
    parameters = list(model.parameters())
    exact = torch.cat([t.flatten() for t in sliced_importance(model(x).mean(0), parameters)])
    jacobian = torch.autograd.functional.jacobian(
        lambda w: torch.func.functional_call(
            model, {**dict(model.named_parameters()), "1.weight": w}, (x,)
        ).mean(0),
        parameters[0].detach(),
    )
    torch.testing.assert_close(exact[: 64 * 12], jacobian.square().sum(0).flatten() / 10)
    errors = []
    for slices in (20, 20_000):
        found = sliced_importance(model(x).mean(0), parameters, sphere(slices, 10, x))
        errors.append(float((torch.cat([t.flatten() for t in found]) - exact).norm()))
    assert errors[1] < 0.15 * errors[0] and errors[1] < 0.05 * float(exact.norm())


def test_averaging_before_squaring_would_lose_the_importances():
    """LifeQuant's released code does, with importances that shrink with the number of slices."""
    torch.manual_seed(2)
    directions = sphere(2000, 10, torch.zeros(()))
    assert directions.mean(0).norm() < 3 / math.sqrt(2000)
    torch.testing.assert_close(fewest_rows(directions).square().sum(), torch.tensor(1.0))


def test_frozen_parameters_and_those_without_a_part_in_the_output_have_no_importance():
    model = network()
    model[1].bias.requires_grad_(False)
    parameters = [*model.parameters(), nn.Parameter(torch.ones(3, dtype=torch.float64))]
    found = sliced_importance(model(torch.randn(5, 64).double()).mean(0), parameters)
    assert not found[1].any() and not found[-1].any() and found[0].any()


def trained(plugin, seed=0, epochs=6):
    """Accuracy on the first of two tasks after the second."""
    benchmark = permuted_digits(n_experiences=2, fraction=0.5)
    model = network(torch.float32, seed)
    strategy = SupervisedTemplate(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        train_mb_size=32,
        train_epochs=epochs,
        plugins=[plugin],
        evaluator=None,
    )
    for experience in benchmark.train_stream:
        strategy.train(experience)
    first = benchmark.test_stream[0].dataset
    x = torch.stack([item[0] for item in first])
    with torch.no_grad():
        return float((model(x).argmax(1) == torch.tensor(list(first.targets))).float().mean())


@pytest.mark.slow
def test_the_first_task_is_remembered_better_over_several_seeds():
    naive = [trained(SCPPlugin(strength=0.0), seed) for seed in range(3)]
    kept = [trained(SCPPlugin(strength=30.0), seed) for seed in range(3)]
    assert min(k - n for k, n in zip(kept, naive, strict=True)) > 0.05


def test_importances_add_up_or_are_forgotten():
    sums = {}
    for retain in (0.0, 1.0):
        plugin = SCPPlugin(strength=1.0, slices=0, retain=retain)
        trained(plugin, epochs=1)
        state = plugin.state_dict()["parameters"]
        sums[retain] = sum(float(entry["importance"].sum()) for entry in state.values())
    assert sums[1.0] > 1.5 * sums[0.0] > 0


def test_the_examples_in_docstrings_hold():
    result = doctest.testmod(sliced)
    assert result.attempted > 0 and result.failed == 0


@pytest.mark.parametrize(
    "build",
    [
        lambda: SCPPlugin(strength=-1.0),
        lambda: SCPPlugin(slices=-1),
        lambda: SCPPlugin(retain=1.5),
        lambda: SCPPlugin(strength="a"),
        lambda: SCPPlugin(slices=0.5),
        lambda: SCPPlugin(slices="a"),
        lambda: SCPPlugin(retain=None),
        lambda: sphere(0, 3, torch.zeros(())),
    ],
)
def test_options_out_of_range_are_refused(build):
    with pytest.raises(UserError):
        build()
