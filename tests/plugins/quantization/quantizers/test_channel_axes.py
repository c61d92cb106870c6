"""Per-channel statistics follow the channels of the layer, whatever the shape of its input."""

import pytest
import torch
from torch import nn

from cl_strategies.plugins.quantization.conversion.convert import quantize_model
from cl_strategies.plugins.quantization.conversion.layers import quantized_layers
from cl_strategies.plugins.quantization.quantizers.alignq import AlignQActivation


def normalizer(layer):
    model = nn.Sequential(layer, nn.ReLU(), nn.Flatten(1), nn.LazyLinear(2))
    del model[3:]
    quantize_model(model, quantizer="alignq", weight_bits=4, activation_bits=8, last_bits=4)
    return model, quantized_layers(model)["0"].output_quantizer


@pytest.mark.parametrize("shape", [(40, 3), (10, 4, 3), (5, 2, 4, 3)])
def test_features_of_a_linear_layer_are_its_last_dimension(shape):
    torch.manual_seed(0)
    layer, quantizer = nn.Linear(3, 6), None
    model, quantizer = normalizer(layer)
    assert isinstance(quantizer, AlignQActivation) and quantizer.features == 6
    x = torch.randn(shape)
    seen = []
    quantizer.alignment.register_forward_hook(lambda _, given, y: seen.append(given[0]))
    model.train()(x)
    flat = seen[0].reshape(-1, 6)
    torch.testing.assert_close(flat.mean(0), torch.zeros(6), atol=1e-4, rtol=0)
    torch.testing.assert_close(flat.var(0, correction=0), torch.ones(6), atol=1e-2, rtol=0)
    model(x.reshape(-1, 3))
    torch.testing.assert_close(seen[1], flat, atol=1e-4, rtol=1e-4)
    model.eval()
    torch.testing.assert_close(model[0](x).reshape(-1, 6), model[0](x.reshape(-1, 3)))


@pytest.mark.parametrize("shape", [(4, 2, 5, 5), (2, 5, 5)])
def test_channels_of_a_convolution_are_found_with_and_without_a_batch(shape):
    torch.manual_seed(0)
    model, quantizer = normalizer(nn.Conv2d(2, 6, 3))
    seen = []
    quantizer.alignment.register_forward_hook(lambda _, given, y: seen.append(given[0]))
    x = torch.randn(shape)
    model[0].train()(x)
    by_channel = seen[0].movedim(-3, 0).flatten(1)
    torch.testing.assert_close(by_channel.mean(1), torch.zeros(6), atol=1e-4, rtol=0)
    if len(shape) == 3:
        model.eval()
        torch.testing.assert_close(model[0](x[None])[0], model[0](x))


def test_one_value_per_channel_takes_the_moving_average():
    model, quantizer = normalizer(nn.Linear(3, 6))
    model[0].train()(torch.randn(3))
    assert torch.equal(quantizer.mean, torch.zeros(6))
