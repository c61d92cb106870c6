"""What quantization costs: noise, operations, errors across tasks."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from cl_strategies.errors import UserError
from cl_strategies.plugins.quantization.conversion.convert import quantize_model
from cl_strategies.plugins.quantization.conversion.layers import quantized_layers
from cl_strategies.plugins.quantization.conversion.measures import (
    bit_operations,
    layer_errors,
    layer_table,
    multiply_accumulates,
    snapshot,
    sqnr,
    task_errors,
    weight_sqnr,
)
from cl_strategies.plugins.quantization.quantizers.scheme import SCHEMES

GOLDEN = Path(__file__).parents[3] / "golden" / "alignq-lifequant"


def network():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=8),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8 * 16, 10),
        nn.ReLU(),
        nn.Linear(10, 4),
    )


def test_errors_across_tasks():
    golden = np.load(GOLDEN / "numpy_lifequant_thm51_metrics.npz")
    arrays = {key: torch.from_numpy(np.asarray(golden[key])) for key in golden.files}
    intra, inter = task_errors(arrays["w_s"], arrays["w_s_q"], arrays["w_t_q"], arrays["grads"])
    assert abs(intra - arrays["intra"]) < 1e-10 and abs(inter - arrays["inter"]) < 1e-10
    assert arrays["total"] <= intra + inter
    standard, _ = task_errors(arrays["w_s_std"], arrays["w_s_q"], arrays["w_t_q"], arrays["grads"])
    assert abs(standard - arrays["intra_in_standard_space"]) < 1e-10


def test_noise_of_rounding_falls_by_six_decibels_per_bit():
    x = torch.rand(100_000)
    noise = [sqnr(x, (x * (2**bits - 1)).round() / (2**bits - 1)) for bits in (4, 5, 6)]
    assert 5.5 < noise[1] - noise[0] < 7 and 5.5 < noise[2] - noise[1] < 7
    assert sqnr(x, x) == float("inf")


@pytest.mark.parametrize("name", SCHEMES)
def test_weights_of_more_bits_have_less_noise(name):
    plain = network()
    found = []
    for bits in (2, 4, 8):
        model = network()
        model.load_state_dict(plain.state_dict())
        found.append(weight_sqnr(quantize_model(model, weight_bits=bits, quantizer=name)))
    assert list(found[0]) == ["0", "3", "7"]
    for layer in found[0]:
        assert found[0][layer] < found[1][layer] < found[2][layer]


def test_layers_are_tabled_with_their_bits():
    rows = layer_table(quantize_model(network(), weight_bits=3, activation_bits=2))
    assert [row["layer"] for row in rows] == ["0", "3", "7", "9"]
    assert [row["weight_bits"] for row in rows] == [3, 3, 3, 32]
    assert [row["input_bits"] for row in rows] == [32, 2, 2, 32]
    assert [row["parameters"] for row in rows] == [216, 72, 1280, 40]
    assert rows[0]["bits"] == 648


def test_multiply_accumulates_count_input_channels_and_groups():
    model = network()
    statistics = model[1].running_mean.clone()
    counts = multiply_accumulates(model.train(), torch.randn(5, 3, 8, 8))
    assert counts == {"0": 64 * 8 * 27, "3": 16 * 8 * 9, "7": 1280, "9": 40}
    assert torch.equal(model[1].running_mean, statistics)
    assert all(module.training for module in model.modules())


def test_bit_operations_weigh_operations_by_both_bits():
    x = torch.randn(2, 3, 8, 8)
    model = quantize_model(network(), weight_bits=3, activation_bits=2, quantizer="alignq")
    expected = 64 * 8 * 27 * 3 * 32 + 16 * 8 * 9 * 3 * 2 + 1280 * 3 * 2 + 40 * 32 * 32
    assert bit_operations(model, x) == expected
    assert bit_operations(network(), x) == (13824 + 1152 + 1280 + 40) * 1024


def test_errors_of_each_layer_grow_when_its_weights_move():
    model = quantize_model(network(), weight_bits=2, quantizer="lifequant")
    model(torch.randn(4, 3, 8, 8))
    old = snapshot(model)
    samples = [(torch.randn(3, 8, 8), label) for label in (0, 1, 2)]
    still = layer_errors(model, old, samples)
    assert all(intra > 0 and inter == 0 for intra, inter in still.values())
    with torch.no_grad():
        quantized_layers(model)["7"].weight.mul_(-1)
    moved = layer_errors(model, old, samples)
    assert moved["7"][1] > 0 and moved["0"][1] == moved["3"][1] == 0
    assert model.training
    with pytest.raises(UserError, match="at least one"):
        layer_errors(model, old, [])
    with pytest.raises(UserError, match="other quantized layers"):
        layer_errors(model, {"0": old["0"]}, samples)
