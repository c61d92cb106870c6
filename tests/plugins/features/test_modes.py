"""Modes of modules and frozen parameters: given back, taken over."""

from __future__ import annotations

import copy
import warnings

import pytest
import torch
from torch import nn

from cl_strategies.plugins.features.modes import evaluating, in_mode, take_over
from cl_strategies.strategies.templates.frozen_parameters import copy_to_train, freeze_left_out


def network() -> nn.Sequential:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.Linear(4, 2))
    model[1].eval()
    return model


def modes(model: nn.Module) -> list[bool]:
    return [module.training for module in model.modules()]


def test_each_module_gets_its_own_mode_back() -> None:
    model = network()
    before = modes(model)
    with evaluating(model):
        assert not any(modes(model))
        with in_mode(model, training=True):
            assert all(modes(model))
        assert not any(modes(model))
    assert modes(model) == before and set(before) == {True, False}
    with pytest.raises(ZeroDivisionError), evaluating(model):
        raise ZeroDivisionError
    assert modes(model) == before


def test_a_copy_takes_over_modes_and_what_is_frozen() -> None:
    source = network()
    source[0].weight.requires_grad_(False)
    made = copy.deepcopy(source).eval().requires_grad_(False)
    take_over(made, source)
    assert modes(made) == modes(source)
    trained = {name: p.requires_grad for name, p in made.named_parameters()}
    assert trained == {name: p.requires_grad for name, p in source.named_parameters()}
    assert trained == {**dict.fromkeys(trained, True), "0.weight": False}


def flags(model: nn.Module) -> list[bool]:
    return [parameter.requires_grad for parameter in model.parameters()]


def test_what_the_optimizer_leaves_out_is_frozen_with_a_warning() -> None:
    model = network()
    optimizer = torch.optim.SGD(model[3].parameters(), lr=0.1)
    with pytest.warns(UserWarning, match=r"the optimizer leaves out \['0.weight'"):
        copied = copy_to_train(model, optimizer)
    assert flags(copied) == [False] * 4 + [True] * 2 and all(flags(model))
    with pytest.warns(UserWarning, match=r"the optimizer leaves out \['0.weight'"):
        freeze_left_out(model, optimizer)
    assert flags(model) == [False] * 4 + [True] * 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        freeze_left_out(model, optimizer)  # frozen by then


def test_an_optimizer_made_before_the_model_changed_leaves_nothing_out() -> None:
    model = network()
    freeze_left_out(model, torch.optim.SGD(network().parameters(), lr=0.1))
    assert all(flags(model))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model[3] = nn.Linear(model[3].in_features, 2)
    freeze_left_out(model, optimizer)
    assert all(flags(model)) and all(flags(copy_to_train(model, optimizer)))
