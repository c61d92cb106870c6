"""Convolutions of all kinds: they compute as before but for rounding, per output channel."""

import copy

import pytest
import torch
from torch import nn

from cl_strategies.plugins.quantization.conversion.convert import dequantize_model, quantize_model
from cl_strategies.plugins.quantization.conversion.layers import arranged_shape, quantized_layers
from cl_strategies.plugins.quantization.conversion.measures import (
    bit_operations,
    layer_table,
    multiply_accumulates,
)
from cl_strategies.plugins.quantization.conversion.packing import load_packed, pack_model
from cl_strategies.plugins.quantization.quantizers.lsq import LSQ

KINDS = {
    "Conv1d": (lambda: nn.Conv1d(4, 6, 3, groups=2), (5, 4, 9)),
    "Conv3d": (lambda: nn.Conv3d(4, 6, 2, padding_mode="circular", padding=1), (2, 4, 3, 3, 3)),
    "ConvTranspose1d": (lambda: nn.ConvTranspose1d(4, 6, 3, stride=2, groups=2), (5, 4, 9)),
    "ConvTranspose2d": (
        lambda: nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2),
        (2, 4, 5, 5),
    ),
    "ConvTranspose3d": (lambda: nn.ConvTranspose3d(4, 6, 2, dilation=2), (2, 4, 3, 3, 3)),
}


def network(kind):
    make, shape = KINDS[kind]
    torch.manual_seed(0)
    layer = make()
    body = nn.Sequential(layer, nn.SiLU(), nn.Flatten())
    x = torch.randn(shape)
    width = body(x).shape[1]
    return nn.Sequential(*body, nn.Linear(width, 5), nn.ReLU(), nn.Linear(5, 2)), x


@pytest.mark.parametrize("kind", KINDS)
def test_layers_compute_with_the_quantized_weights_of_their_channels(kind):
    model, x = network(kind)
    plain = copy.deepcopy(model)
    quantize_model(model, quantizer=LSQ(per_channel=True), weight_bits=4, activation_bits=32)
    layer = model[0]
    assert type(layer).__name__ == f"Quant{kind}"
    assert arranged_shape(layer)[0] == 6 and len(layer.weight_quantizer.step) == 6
    twin = copy.deepcopy(plain[0])
    twin.weight.data = layer.quantized_weight().detach()
    assert torch.equal(layer(x), twin(x))
    for channel in range(6):  # its weights are multiples of its own step, and no other's
        impulse = torch.zeros(6)
        impulse[channel] = 1
        bare = copy.deepcopy(twin)
        bare.bias.data.zero_()
        y = bare(torch.ones_like(x)) * impulse.view(1, -1, *[1] * (x.dim() - 2))
        step = layer.weight_quantizer.step[channel].item()
        torch.testing.assert_close((y / step).round() * step, y, rtol=1e-4, atol=1e-4 * step)
    exact = quantize_model(copy.deepcopy(plain), weight_bits=32, activation_bits=32)
    assert torch.equal(exact(x), plain(x))
    assert [type(m) for m in dequantize_model(model).modules()] == [
        type(m) for m in plain.modules()
    ]


@pytest.mark.parametrize("quantizer", ["lsq-plus", "alignq"])
@pytest.mark.parametrize("kind", KINDS)
def test_they_train_pack_and_load(kind, quantizer):
    model, x = network(kind)
    quantize_model(model, quantizer=quantizer)
    model(x).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model[0].parameters())
    expected = model.eval()(x)
    fresh = quantize_model(network(kind)[0], quantizer=quantizer).eval()
    assert torch.equal(load_packed(fresh, pack_model(model))(x), expected)


def test_transposed_convolutions_take_an_output_size():
    layer = nn.ConvTranspose2d(2, 3, 3, stride=2)
    model = quantize_model(nn.Sequential(layer, nn.Flatten(), nn.Linear(3 * 36, 2)))
    assert model[0](torch.randn(1, 2, 2, 2), output_size=[6, 6]).shape == (1, 3, 6, 6)


def test_depthwise_layers_of_sequences_and_their_costs():
    model = nn.Sequential(
        nn.Conv1d(2, 4, 1), nn.ReLU(), nn.Conv1d(4, 4, 3, groups=4), nn.Flatten(), nn.Linear(16, 2)
    )
    quantize_model(model, depthwise_bits=8)
    assert [row["weight_bits"] for row in layer_table(model)] == [4, 8, 32]
    x = torch.randn(3, 2, 6)
    assert multiply_accumulates(model, x) == {"0": 48, "2": 48, "4": 32}
    assert bit_operations(model, x) == 48 * 4 * 32 + 48 * 8 * 4 + 32 * 1024
    assert list(quantized_layers(model)) == ["0", "2"]
