"""What calibration sets, what it leaves alone, and what it refuses."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from cl_strategies.errors import UserError
from cl_strategies.plugins import calibrate_model, quantize_model
from cl_strategies.plugins.quantization.calibration.network import at_full_precision, passing
from cl_strategies.plugins.quantization.calibration.options import CalibrationOptions
from cl_strategies.plugins.quantization.calibration.rounding import round_adaptively
from cl_strategies.plugins.quantization.calibration.samples import calibration_batches
from cl_strategies.plugins.quantization.conversion.layers import quantized_layers
from cl_strategies.plugins.quantization.conversion.packing import load_packed, pack_model
from cl_strategies.plugins.quantization.quantizers import LSQ, PACT, Uniform

#: AdaRound in a tenth of its steps.
FAST: dict[str, Any] = {"rounding": "adaround", "iterations": 100, "rounding_lr": 0.05}
SEEDS = range(3)


def network() -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5),
        nn.Conv2d(4, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(96, 5),
    )  # fmt: skip
    model[1].running_mean.uniform_(-0.1, 0.1)
    return model


def images(n: int = 40) -> torch.Tensor:
    return torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def quantized(model: nn.Module, **options: Any) -> nn.Module:
    settings = {"quantizer": LSQ(per_channel=True), "last_bits": 4, **options}
    return quantize_model(copy.deepcopy(model), **settings)


@pytest.mark.parametrize(
    "options",
    [
        {"method": "min-max", "weight_method": "min-max"},
        {"method": "percentile"},
        {"method": "entropy"},
        {**FAST, "correct_bias": True, "iterations": 3},
    ],
)
def test_modes_statistics_generators_and_gradients_stay(options):
    model = quantized(network().train())
    model[2].eval()
    modes = [module.training for module in model.modules()]
    buffers = {name: value.clone() for name, value in model[1].named_buffers()}
    generator = torch.get_rng_state()
    calibrate_model(model, images(), **options)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, buffers[name]) for name, value in model[1].named_buffers())
    assert torch.equal(torch.get_rng_state(), generator)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_min_max_covers_what_a_layer_is_given_at_full_precision():
    model = quantized(
        network().eval(), calibrate=images(), method="min-max", weight_method="min-max"
    )
    with at_full_precision(model):
        ((given, _),) = passing(model, model[4], [(images(), torch.zeros(40).long())])
    quantizer = model[4].input_quantizer
    assert not quantizer.is_signed
    assert float(quantizer.step) == pytest.approx(float(given.max()) / 15)
    w = model[4].weight
    step = torch.maximum(w.amax((1, 2, 3)) / 7, -w.amin((1, 2, 3)) / 8)
    torch.testing.assert_close(model[4].weight_quantizer.step.flatten(), step)


def test_the_weights_stay_unless_they_are_rounded_adaptively():
    model = network().eval()
    found = quantized(model, calibrate=images())
    for name, layer in quantized_layers(found).items():
        assert torch.equal(layer.weight, model.get_submodule(name).weight)
    rounded = quantized(model, calibrate=images(), **FAST)
    moved = 0
    for name, layer in quantized_layers(rounded).items():
        step, change = layer.weight_quantizer.step, layer.weight - model.get_submodule(name).weight
        moved += int((change != 0).sum())
        assert (change.abs() <= step * 1.0001).all()
    assert moved


def test_uniform_and_llsq_can_be_calibrated():
    model, x = network().eval(), images()
    with torch.no_grad():
        plain = model(x)
        for options in (
            {"quantizer": Uniform(), "weight_method": "min-max"},
            {"quantizer": Uniform(symmetric=True), "weight_method": "min-max"},
            {"quantizer": "llsq"},
        ):
            bits = {"weight_bits": 8, "activation_bits": 8, "last_bits": 8}
            found = quantized(model, calibrate=x, **bits, **options)(x)
            assert (found - plain).abs().max() < 0.03 * plain.abs().max()


@pytest.mark.parametrize("options", [{}, {"fold_norms": True}])
@pytest.mark.parametrize("quantizer", ["lsq", "lsq-plus", "llsq"])
def test_transposed_layers_folded_norms_and_grids_with_an_offset(quantizer, options):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.SiLU(),
        nn.ConvTranspose2d(4, 6, 3), nn.BatchNorm2d(6), nn.GELU(),
        nn.Flatten(), nn.Linear(384, 5),
    )  # fmt: skip
    model(images())
    model.eval()
    widths = {"weight_bits": 8, "activation_bits": 8, "last_bits": 8, "quantizer": quantizer}
    adaptively = {**FAST, "iterations": 20}
    with torch.no_grad():
        plain = model(images())
        for how in ({}, adaptively):
            found = quantized(model, calibrate=images(), **widths, **options, **how)(images())
            error = (found - plain).square().sum() / (plain - plain.mean(0)).square().sum()
            assert error < 0.002


def test_what_cannot_be_fitted_is_said():
    with pytest.raises(UserError, match="fold_norms change the same biases"):
        quantized(network().eval(), calibrate=images(), fold_norms=True, correct_bias=True)


def test_biases_take_back_what_quantization_adds_to_the_mean():
    model, x = network().eval(), images()
    found = quantized(model, calibrate=x, correct_bias=True)
    layers = quantized_layers(found)
    assert all(layer.bias is not None for layer in layers.values())
    batches = calibration_batches(x, 40)
    for name, layer in layers.items():
        means = [
            torch.cat([y for _, y in passing(net, net.get_submodule(name), batches)]).mean(0)
            for net in (found, model)
        ]
        mean = [m.flatten(1).mean(1) if m.dim() > 1 else m for m in means]
        torch.testing.assert_close(*mean, rtol=0, atol=1e-5)
        assert layer.bias is not model.get_submodule(name).bias


def test_rounding_ends_at_zero_or_one_and_the_output_is_nearer():
    model = quantized(network().eval(), calibrate=images())
    layer = model[4]
    plain = copy.deepcopy(model)
    batches = calibration_batches(images(), 40)
    with at_full_precision(plain):
        outputs = passing(plain, plain[4], batches)
    pairs = [(x, y) for (x, _), (_, y) in zip(passing(model, layer, batches), outputs, strict=True)]

    def error() -> float:
        with torch.no_grad():
            return sum(float((layer.forward(x) - y).square().sum()) for x, y in pairs)

    nearest = error()
    options = CalibrationOptions(**FAST | {"iterations": 400, "rounding_strength": 0.1})
    learned = round_adaptively(layer, pairs, options)
    assert ((learned == 0) | (learned == 1)).double().mean() > 0.99
    assert error() < 0.8 * nearest
    codes = layer.weight_quantizer.encode(layer.weight).codes
    assert int(codes.max()) <= 15


def test_a_calibrated_model_is_packed_without_a_difference():
    model = quantized(network().eval(), calibrate=images(), **FAST)
    other = quantized(network().eval(), calibrate=images())
    load_packed(other, pack_model(model))
    with torch.no_grad():
        assert torch.equal(model(images()), other.eval()(images()))


def test_samples_may_come_in_any_form():
    x = images()
    labels = torch.zeros(40).long()
    data = TensorDataset(x, labels)
    forms = [x, data, DataLoader(data, 7), [x[:30], x[30:]], [(x, labels, labels)]]
    steps = set()
    for form in forms:
        model = quantized(network().eval(), calibrate=form, method="min-max")
        steps.add(float(model[4].input_quantizer.step))
    assert len(steps) == 1
    for form in (data, x, DataLoader(data, 7)):
        assert sum(len(part) for part, _ in calibration_batches(form, 25)) == 25


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"calibrate": []}, "no sample"),
        ({"calibrate": 3}, "cannot calibrate with a int"),
        ({"calibrate": [["text"]]}, "not a tensor"),
        ({"calibrate": images()[:0]}, "no sample"),
        ({"calibrate": images() / 0}, "NaN or infinity"),
        ({"calibrate": torch.rand(2, 3, 8, 8)}, r"of the shape \(3, 8, 8\) and the type"),
        ({"calibrate": torch.ones(2, 1, 8, 8).byte()}, "torch.uint8 to calibrate with"),
        ({"calibrate": images(), "weight_bits": 1}, "at least 2 bits"),
        ({"calibrate": [torch.rand(2, 1, 8, 8), torch.rand(2, 1, 9, 9)]}, "one shape"),
        ({"calibrate": images(), "quantizer": "dorefa"}, "cannot be calibrated"),
        ({"calibrate": images(), "quantizer": PACT()}, "cannot be calibrated"),
        ({"calibrate": images(), "quantizer": "uniform"}, "weight_method='min-max'"),
        ({"calibrate": images(), "percentile": 99.0}, "does nothing"),
        ({"calibrate": images(), "iterations": 5}, "does nothing"),
        ({"samples": 5}, "give samples, too"),
    ],
)
def test_what_cannot_be_is_said_before_the_model_changes(options, message):
    model = network()
    with pytest.raises(UserError, match=message):
        quantize_model(model, **options)
    assert not quantized_layers(model)


def test_a_network_that_diverged_is_refused_and_left_as_it_was():
    model = network()
    model[4].weight.data[0] = math.nan
    with pytest.raises(UserError, match="becomes NaN or infinite"):
        quantize_model(model, calibrate=images(), last_bits=4)
    assert not quantized_layers(model)


def test_a_model_without_quantizers_and_one_bit_are_refused():
    with pytest.raises(UserError, match="quantize_model first"):
        calibrate_model(network(), images())
    with pytest.raises(UserError, match="at least 2 bits"):
        calibrate_model(quantized(network(), weight_bits=1), images())
    with pytest.raises(TypeError, match="no argument"):
        calibrate_model(quantized(network()), images(), methods="mse")


@torch.no_grad()
def accuracy(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    return float((model(x).argmax(1) == y).double().mean())


def calibrated(known: Any, seed: int, bits: int, **options: Any) -> nn.Module:
    model, seen, _, _ = known(seed)
    widths = {"weight_bits": bits, "activation_bits": bits, "last_bits": bits}
    return quantized(model, calibrate=seen, **widths, **{"samples": 128, **options})


def mean_accuracy(known: Any, bits: int, **options: Any) -> float:
    found = [accuracy(calibrated(known, s, bits, **options), *known(s)[2:]) for s in SEEDS]
    return sum(found) / len(found)


def mean_error(known: Any, **options: Any) -> float:
    """The squared error of the output of each layer but the first at 4 bits, relative, averaged."""
    model, seen = calibrated(known, 0, 4, **options), known(0)[1]
    batches = calibration_batches(seen, 128)
    plain = copy.deepcopy(known(0)[0])
    errors = []
    for name in list(quantized_layers(model))[1:]:
        pairs = [
            torch.cat([y for _, y in passing(net, net.get_submodule(name), batches)])
            for net in (model, plain)
        ]
        errors.append(float((pairs[0] - pairs[1]).square().sum() / pairs[1].square().sum()))
    return sum(errors) / len(errors)


PLAIN = {"method": "min-max", "weight_method": "min-max"}


@pytest.mark.parametrize("method", ["min-max", "percentile", "mse", "entropy"])
def test_nothing_is_lost_at_8_bits(known, method):
    full = accuracy(known(0)[0], *known(0)[2:])
    assert full > 0.9
    assert abs(accuracy(calibrated(known, 0, 8, method=method), *known(0)[2:]) - full) <= 0.005


@torch.no_grad()
def rounding_error(quantizer: nn.Module, x: torch.Tensor) -> float:
    """The squared error, relative."""
    return float((quantizer(x) - x).square().sum() / x.square().sum())


def rounding_errors(known: Any, **options: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Those of inputs and of weights at 4 bits, by layer."""
    model, seen = calibrated(known, 0, 4, **options), known(0)[1]
    inputs, weights = [], []
    for layer in quantized_layers(model).values():
        weights.append(rounding_error(layer.weight_quantizer, layer.weight))
        if layer.input_quantizer is not None:
            with at_full_precision(model):
                pairs = passing(model, layer, calibration_batches(seen, 128))
            inputs.append(rounding_error(layer.input_quantizer, torch.cat([x for x, _ in pairs])))
    return torch.tensor(inputs), torch.tensor(weights)


def test_at_4_bits_clipping_rounds_every_layer_more_nearly(known):
    """What a layer computes of it may be farther off all the same: errors cancel or add up."""
    inputs, weights = rounding_errors(known, **PLAIN)
    less = rounding_errors(known)
    assert (less[0] <= 1.01 * inputs).all() and less[0].sum() < 0.8 * inputs.sum()
    assert (less[1] <= 1.01 * weights).all() and less[1].sum() < 0.95 * weights.sum()
    assert rounding_errors(known, method="percentile")[0].sum() < inputs.sum()


def test_at_4_bits_adaround_computes_what_layers_did_more_nearly(known):
    found = mean_error(known, **FAST | {"iterations": 50}, samples=64)
    assert found < 0.8 * mean_error(known)


@pytest.mark.slow
def test_the_accuracy_is_kept_at_8_bits_and_kept_best_by_adaround_at_4(known):
    full = sum(accuracy(known(s)[0], *known(s)[2:]) for s in SEEDS) / 3
    for method in ("min-max", "percentile", "mse", "entropy"):
        assert abs(mean_accuracy(known, 8, method=method) - full) <= 0.005
    plain, clipped = mean_accuracy(known, 4, **PLAIN), mean_accuracy(known, 4)
    assert clipped > plain and mean_accuracy(known, 4, method="percentile") > plain
    assert mean_accuracy(known, 4, **FAST) > clipped + 0.005
    assert mean_accuracy(known, 3) > mean_accuracy(known, 3, **PLAIN) + 0.05
