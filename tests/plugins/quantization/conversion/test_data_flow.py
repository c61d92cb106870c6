"""What the code of a network says of the signs of its activations."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from cl_strategies.models import cnn
from cl_strategies.models.backbones.cifar_resnet import resnet20
from cl_strategies.plugins.quantization.conversion.convert import quantize_model
from cl_strategies.plugins.quantization.conversion.data_flow import data_flow
from cl_strategies.plugins.quantization.conversion.layers import quantized_layers
from cl_strategies.plugins.quantization.quantizers.lsq_plus import LSQPlus

NEVER, CAN, UNKNOWN = False, True, None


def sign_after(function):
    """The sign of what a layer takes behind ``function`` of another one's output."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.layer = nn.Linear(4, 4), nn.Linear(4, 4)
            self.act = function if isinstance(function, nn.Module) else None
            self.scale = nn.Parameter(torch.ones(4))

        def forward(self, x):
            h = self.stem(x)
            return self.layer(self.act(h) if self.act is not None else function(self, h))

    model = Net()
    return data_flow(model, [model.stem, model.layer]).input_signs([model.layer])[id(model.layer)]


@pytest.mark.parametrize(
    ("sign", "modules"),
    [
        (NEVER, [nn.ReLU(), nn.ReLU6(), nn.Sigmoid(), nn.Hardsigmoid(), nn.Softplus()]),
        (NEVER, [nn.Hardtanh(0.0, 2.0), nn.Sequential(nn.ReLU(), nn.Dropout(), nn.Identity())]),
        (CAN, [nn.SiLU(), nn.Hardswish(), nn.GELU(), nn.LeakyReLU(), nn.ELU(), nn.Mish()]),
        (CAN, [nn.Tanh(), nn.Hardtanh(), nn.Identity(), nn.Sequential(nn.ReLU(), nn.LayerNorm(4))]),
        (UNKNOWN, [nn.Threshold(0.1, 20.0)]),
    ],
)
def test_modules(sign, modules):
    for module in modules:
        assert sign_after(module) is sign, module


@pytest.mark.parametrize(
    ("sign", "function"),
    [
        (NEVER, lambda self, h: F.relu(h)),
        (NEVER, lambda self, h: h.relu_().flatten(1)[:, :4]),
        (NEVER, lambda self, h: torch.relu(h) + 2 * torch.sigmoid(h)),
        (NEVER, lambda self, h: torch.cat([h.abs(), h.square()], -1)[:, :4]),
        (NEVER, lambda self, h: F.softmax(h, -1).mean(-1, keepdim=True).expand(-1, 4)),
        (CAN, lambda self, h: h * torch.sigmoid(h)),
        (CAN, lambda self, h: h.relu() - 0.5),
        (CAN, lambda self, h: h.relu() + -0.5),
        (CAN, lambda self, h: h.relu() * -1),
        (CAN, lambda self, h: h.relu() + h),
        (CAN, lambda self, h: torch.cat([h.relu(), F.gelu(h)], 1)[:, :4]),
        (CAN, lambda self, h: h.relu() * self.scale),
        (UNKNOWN, lambda self, h: h.clamp(0.1)),
        (UNKNOWN, lambda self, h: torch.add(h.relu(), h.relu(), alpha=-1)),
        (UNKNOWN, lambda self, h: torch.cumsum(h.relu(), -1) + h.relu()),
    ],
)
def test_functions(sign, function):
    assert sign_after(function) is sign


def test_a_layer_that_is_called_twice_sees_both():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x):
            return self.b(self.b(self.a(x).relu()))

    model = Net()
    assert data_flow(model, [model.a, model.b]).input_signs([model.b]) == {id(model.b): True}


def test_code_that_depends_on_data_leaves_it_to_the_first_batch():
    class Net(nn.Sequential):
        def forward(self, x):
            return super().forward(x if x.sum() > 0 else -x)

    model = Net(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.Linear(4, 2))
    flow = data_flow(model, [model[0], model[2]])
    assert flow.graph is None and flow.input_signs([model[2]]) == {id(model[2]): None}
    quantize_model(model, example=torch.zeros(1, 4))
    model(torch.randn(8, 4))
    assert not model[2].input_quantizer.is_signed


def test_the_code_overrules_a_first_batch_but_not_the_user():
    def made(act, **options):
        model = nn.Sequential(nn.Linear(4, 4), act, nn.Linear(4, 4), nn.Linear(4, 2))
        model[0].bias.data.fill_(9.0)  # a first batch without a negative value
        quantize_model(model, quantizer=LSQPlus(**options), first_bits=32)
        model(torch.rand(8, 4))
        return model[2].input_quantizer.is_signed

    assert made(nn.SiLU()) and not made(nn.ReLU()) and not made(nn.SiLU(), signed=False)


@pytest.mark.parametrize("quantizer", ["lsq", "pact", "dorefa", "apot", "llsq"])
def test_networks_with_relu_are_what_they_were(quantizer, monkeypatch):
    def result():
        torch.manual_seed(0)
        if quantizer == "lsq":
            model = resnet20(input_shape=(1, 8, 8), n_classes=4, scenario="class", width=4)
        else:
            model = cnn(input_shape=(1, 8, 8), n_classes=4, scenario="class")
        quantize_model(model, quantizer=quantizer)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        for _ in range(2):
            optimizer.zero_grad()
            F.cross_entropy(model(torch.randn(8, 1, 8, 8)), torch.arange(8) % 4).backward()
            optimizer.step()
        return model

    with_code = result()
    assert any(layer.input_quantizer.given is False for layer in _with_inputs(with_code))
    monkeypatch.setattr(
        "cl_strategies.plugins.quantization.quantizers.base.SignedActivation.expect",
        lambda self, signed: None,
    )
    by_batch = result()
    assert all(layer.input_quantizer.given is None for layer in _with_inputs(by_batch))
    for key, value in with_code.state_dict().items():
        assert torch.equal(value, by_batch.state_dict()[key]), key


def _with_inputs(model):
    return [m for m in quantized_layers(model).values() if m.input_quantizer is not None]


def test_reading_the_code_leaves_the_network_as_it_was():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Dropout(), nn.Linear(4, 4))
    before = copy.deepcopy(model)
    data_flow(model, [model[0], model[3]])
    assert model.training and all(m.training for m in model.modules())
    assert repr(model) == repr(before)
