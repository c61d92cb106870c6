"""quantize_model: what it replaces, what it keeps, what it refuses."""

import copy

import pytest
import torch
from avalanche.models import IncrementalClassifier
from torch import nn
from torch.nn.utils.parametrizations import weight_norm
from torchvision.models import mobilenet_v2, resnet18

from cl_strategies.errors import UserError
from cl_strategies.models.backbones.convnets import cnn
from cl_strategies.models.backbones.mlp import mlp
from cl_strategies.plugins.quantization.conversion.convert import dequantize_model, quantize_model
from cl_strategies.plugins.quantization.conversion.layers import (
    constant_weights,
    quantized_layers,
)
from cl_strategies.plugins.quantization.layers.kinds import (
    QuantBatchNorm2d,
    QuantConv2d,
    QuantLinear,
)
from cl_strategies.plugins.quantization.quantizers.lsq import LSQ
from cl_strategies.plugins.quantization.quantizers.scheme import SCHEMES


def network(batchnorm=True):
    def block(n_in, n_out, groups=1):
        conv = nn.Conv2d(n_in, n_out, 3, padding=1, groups=groups, bias=not batchnorm)
        return [conv, *([nn.BatchNorm2d(n_out)] if batchnorm else []), nn.ReLU()]

    return nn.Sequential(
        *block(1, 6),
        *block(6, 6, groups=6),
        *block(6, 8),
        nn.Flatten(),
        nn.Linear(8 * 16, 10),
        nn.ReLU(),
        nn.Linear(10, 4),
    )


def trained(model, steps=3):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(torch.randn(16, 1, 4, 4)), torch.arange(16) % 4)
        loss.backward()
        optimizer.step()
    return loss


def bits_of(model):
    return {name: layer.weight_quantizer.bits for name, layer in quantized_layers(model).items()}


def test_layers_keep_their_names_parameters_and_hooks():
    model = network()
    names, parameters = set(model.state_dict()), dict(model.named_parameters())
    seen = []
    model[0].register_forward_hook(lambda *unused: seen.append(1))
    assert quantize_model(model, quantizer="alignq") is model
    assert names <= set(model.state_dict())
    assert all(dict(model.named_parameters())[name] is p for name, p in parameters.items())
    assert isinstance(model[0], QuantConv2d) and isinstance(model[1], QuantBatchNorm2d)
    model(torch.randn(2, 1, 4, 4))
    assert seen == [1]


def test_every_layer_but_the_classifier_is_quantized():
    model = quantize_model(network(), weight_bits=3, activation_bits=2)
    assert bits_of(model) == {"0": 3, "3": 3, "6": 3, "10": 3}
    assert type(model[12]) is nn.Linear
    assert model[0].input_quantizer is None  # the input of the network
    assert all(model[i].input_quantizer.bits == 2 for i in (3, 6, 10))


def test_first_last_and_depthwise_layers_can_have_bits_of_their_own():
    model = quantize_model(network(), first_bits=8, last_bits=6, depthwise_bits=5)
    assert bits_of(model) == {"0": 8, "3": 5, "6": 4, "10": 4, "12": 6}
    assert isinstance(model[12], QuantLinear) and model[12].input_quantizer.bits == 6


def test_depthwise_convolutions_compute_as_before_but_for_rounding():
    plain = network().eval()
    quantized = quantize_model(copy.deepcopy(plain), weight_bits=8, activation_bits=32)
    x = torch.randn(4, 1, 4, 4)
    torch.testing.assert_close(quantized(x), plain(x), atol=0.1, rtol=0.1)
    layer = quantized[3]
    expected = nn.functional.conv2d(
        torch.ones(1, 6, 4, 4), layer.quantized_weight(), layer.bias, padding=1, groups=6
    )
    assert torch.equal(layer(torch.ones(1, 6, 4, 4)), expected)


@pytest.mark.parametrize("batchnorm", [True, False])
@pytest.mark.parametrize("name", SCHEMES)
def test_thirty_two_bits_change_nothing(name, batchnorm):
    plain = network(batchnorm)
    quantized = quantize_model(
        copy.deepcopy(plain), weight_bits=32, activation_bits=32, quantizer=name
    )
    x = torch.randn(4, 1, 4, 4)
    assert torch.equal(quantized(x), plain(x))


@pytest.mark.parametrize("batchnorm", [True, False])
@pytest.mark.parametrize("name", SCHEMES)
def test_a_quantized_network_trains_and_evaluates_in_any_batches(name, batchnorm):
    model = quantize_model(network(batchnorm), quantizer=name)
    weights = {name: p.detach().clone() for name, p in model.named_parameters()}
    assert trained(model).isfinite()
    moved = [name for name, p in model.named_parameters() if not torch.equal(p, weights[name])]
    assert len([name for name in moved if name.endswith("weight")]) >= 5
    model.eval()
    x = torch.randn(9, 1, 4, 4)
    torch.testing.assert_close(model(x), torch.cat([model(x[:2]), model(x[2:])]))


@pytest.mark.parametrize("name", SCHEMES)
def test_a_quantized_network_trains_in_mixed_precision(name):
    model = quantize_model(network(), quantizer=name)
    with torch.autocast("cpu", torch.bfloat16):
        loss = trained(model)
    assert loss.isfinite()
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert all(p.isfinite().all() for p in model.parameters())


def test_alignment_stands_after_each_batchnorm():
    model = quantize_model(network(), activation_bits=3, quantizer="alignq")
    assert all(model[i].output_quantizer.bits == 3 for i in (1, 4, 7))
    assert all(model[i].input_quantizer is None for i in (0, 3, 6, 10))
    assert model[0].output_quantizer is None
    assert model[10].output_quantizer.features == 10  # no BatchNorm follows: normalized first
    x = model[0:2](torch.randn(8, 1, 4, 4))
    assert len(x.unique()) == 8


def test_alignment_of_a_preactivation_network_follows_its_batchnorms_alone():
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.Sequential(nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 6, 1)),
        nn.Sequential(nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 9, 1)),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(9, 2),
    )
    quantize_model(model, quantizer="alignq")
    assert model[1][2].output_quantizer is None and model[2][2].output_quantizer is None


def test_skipped_layers_stay_as_they_are():
    model = quantize_model(network(), skip=["3", "1*"])
    assert set(bits_of(model)) == {"0", "6"}
    outer = nn.Sequential(network(), nn.Linear(4, 4))
    quantize_model(outer, skip=["0"], last_bits=4)
    assert set(bits_of(outer)) == {"1"}


def test_a_pattern_without_a_match_is_refused():
    with pytest.raises(UserError, match="'stem', which matches no module"):
        quantize_model(network(), skip=["stem"])
    with pytest.raises(UserError, match="skip is '3', a str: give a list of texts"):
        quantize_model(network(), skip="3")


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 4)
        self.attention = nn.MultiheadAttention(4, 1, add_bias_kv=True)
        self.head = nn.Linear(4, 2)


REFUSED = {
    "Bilinear": nn.Sequential(nn.Linear(2, 2), nn.Bilinear(2, 2, 2), nn.Linear(2, 2)),
    "LSTM": nn.Sequential(nn.Linear(2, 2), nn.LSTM(2, 2), nn.Linear(2, 2)),
    "Embedding": nn.Sequential(nn.Embedding(4, 2), nn.Linear(2, 2), nn.Linear(2, 2)),
    "MultiheadAttention with keys of its own": Attention(),
    "LazyLinear": nn.Sequential(nn.LazyLinear(3), nn.Linear(3, 3)),
    "ParametrizedLinear": nn.Sequential(weight_norm(nn.Linear(2, 2)), nn.Linear(2, 2)),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_layers_that_cannot_be_quantized_are_refused_by_name(kind):
    model = REFUSED[kind]
    before = [type(module) for module in model.modules()]
    with pytest.raises(UserError, match=f"is a {kind} and cannot be quantized.*skip="):
        quantize_model(model)
    assert [type(module) for module in model.modules()] == before


def test_all_layers_that_cannot_be_quantized_stand_in_one_message():
    model = nn.Sequential(nn.Linear(2, 2), nn.LSTM(2, 2), nn.Linear(2, 2), Attention())
    with pytest.raises(UserError) as caught:
        quantize_model(model)
    text = str(caught.value)
    assert "'1' is a LSTM; the layer '3.attention' is a Multihead" in text
    assert text.endswith("skip=['1', '3.attention']")


def test_a_refused_layer_can_be_skipped():
    model = quantize_model(Attention(), skip=["attention"])
    assert set(bits_of(model)) == {"inner"}


def test_normalizations_that_cannot_be_aligned_are_refused():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.SyncBatchNorm(4), nn.Conv2d(4, 4, 3))
    with pytest.raises(UserError, match="'1', a SyncBatchNorm"):
        quantize_model(copy.deepcopy(model), quantizer="alignq")
    quantize_model(model, quantizer="lsq")


def test_bits_out_of_range_are_refused_by_name():
    for name in ("weight_bits", "activation_bits", "first_bits", "last_bits", "depthwise_bits"):
        with pytest.raises(UserError, match=name):
            quantize_model(network(), **{name: 12})


def test_a_model_is_quantized_once():
    model = quantize_model(network())
    with pytest.raises(UserError, match="quantized already"):
        quantize_model(model)


def test_a_model_without_a_layer_to_quantize_is_refused():
    with pytest.raises(UserError, match="no layer to quantize"):
        quantize_model(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)))
    only = quantize_model(nn.Linear(4, 2), last_bits=4)
    assert isinstance(only, QuantLinear)


@pytest.mark.parametrize("name", SCHEMES)
def test_dequantizing_gives_the_plain_model_back(name):
    plain = network()
    model = quantize_model(copy.deepcopy(plain), quantizer=name)
    dequantize_model(model)
    assert [type(m) for m in model.modules()] == [type(m) for m in plain.modules()]
    assert set(model.state_dict()) == set(plain.state_dict())
    x = torch.randn(3, 1, 4, 4)
    assert torch.equal(model(x), plain(x))
    assert set(bits_of(quantize_model(model, weight_bits=2))) == {"0", "3", "6", "10"}


@pytest.mark.parametrize("name", SCHEMES)
def test_a_full_precision_checkpoint_fits_a_quantized_model(name):
    plain = network()
    model = quantize_model(network(), quantizer=name)
    trained(model)
    model.load_state_dict(plain.state_dict())
    quantized = quantize_model(copy.deepcopy(plain), quantizer=name)
    for key, layer in quantized_layers(model).items():
        expected = quantized_layers(quantized)[key].quantized_weight()
        assert torch.equal(layer.quantized_weight(), expected)


@pytest.mark.parametrize("name", SCHEMES)
def test_a_quantized_checkpoint_does_not_fit_another_bit_width(name):
    state = quantize_model(network(), quantizer=name).state_dict()
    model = quantize_model(network(), weight_bits=3, quantizer=name)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(UserError, match="4 bits.*3 bits.*quantized in the same way"):
        model.load_state_dict(state)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    with pytest.raises(RuntimeError, match="Unexpected key"):
        network().load_state_dict(state)


@pytest.mark.parametrize("name", SCHEMES)
def test_copies_and_checkpoints_compute_the_same(name):
    model = quantize_model(network(), quantizer=name)
    trained(model)
    model.eval()
    x = torch.randn(5, 1, 4, 4)
    fresh = quantize_model(network(), quantizer=name).eval()
    fresh.load_state_dict(model.state_dict())
    assert torch.equal(fresh(x), model(x))
    twin = copy.deepcopy(model)
    assert torch.equal(twin(x), model(x))
    with pytest.raises(UserError):
        twin.load_state_dict(quantize_model(network(), weight_bits=7, quantizer=name).state_dict())


def test_growing_classifiers_stay_at_full_precision():
    single = nn.Sequential(mlp(input_shape=(8,), n_classes=4, scenario="class", head="growing"))
    quantize_model(single)
    assert set(bits_of(single)) == {"0.backbone.1", "0.backbone.3"}
    several = cnn(input_shape=(1, 8, 8), n_classes=4, scenario="task")
    quantize_model(several)
    assert set(bits_of(several)) == {"backbone.0", "backbone.3", "backbone.7"}
    avalanche = nn.Sequential(nn.Flatten(), nn.Linear(4, 4), IncrementalClassifier(4))
    quantize_model(avalanche)
    assert set(bits_of(avalanche)) == {"1"}
    with pytest.raises(UserError, match="grows with the stream"):
        quantize_model(cnn(input_shape=(1, 8, 8), n_classes=4, scenario="task"), last_bits=8)


def test_modules_used_twice_are_quantized_once():
    shared = nn.Linear(6, 6)
    model = nn.Sequential(nn.Linear(4, 6), shared, nn.ReLU(), shared, nn.Linear(6, 2))
    quantize_model(model)
    assert model[1] is model[3] and isinstance(model[1], QuantLinear)


def test_published_networks_convert_and_run():
    for build, convolutions in ((resnet18, 20), (mobilenet_v2, 52)):
        model = quantize_model(build(num_classes=10), quantizer="alignq")
        layers = quantized_layers(model)
        assert len(layers) == convolutions
        assert not any(layer.weight_quantizer.rescale for layer in layers.values())
        assert model(torch.randn(2, 3, 32, 32)).shape == (2, 10)


def test_a_scheme_can_have_options():
    model = quantize_model(network(), quantizer=LSQ(per_channel=True))
    assert model[6].weight_quantizer.step.shape == (8, 1, 1, 1)


def test_constant_weights_take_gradients_of_the_quantized_weights():
    model = quantize_model(network(), weight_bits=2).eval()
    x = torch.randn(1, 1, 4, 4)
    model.train()(torch.randn(8, 1, 4, 4))
    model.eval()
    expected = model(x)
    with constant_weights(model) as weights:
        assert set(weights) == {"0.weight", "3.weight", "6.weight", "10.weight"}
        output = model(x)
        assert torch.equal(output, expected)
        gradient = torch.autograd.grad(output[0, 0], weights["10.weight"])[0]
        with torch.no_grad():
            weights["10.weight"] += 1e-3 * gradient
            up = model(x)[0, 0]
            weights["10.weight"] -= 2e-3 * gradient
            slope = (up - model(x)[0, 0]) / 2e-3
    torch.testing.assert_close(slope, gradient.square().sum(), rtol=1e-2, atol=1e-4)
    assert torch.equal(model(x), expected)
