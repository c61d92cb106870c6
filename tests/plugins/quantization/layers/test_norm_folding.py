"""BatchNorm folded into the layer before it, in training and in evaluation."""

import copy

import onnxruntime
import pytest
import torch
from torch import nn

from cl_strategies.errors import UserError
from cl_strategies.experiment.config.quantization import QuantizationConfig
from cl_strategies.models import mlp
from cl_strategies.plugins.quantization.conversion.convert import dequantize_model, quantize_model
from cl_strategies.plugins.quantization.conversion.layers import quantized_layers
from cl_strategies.plugins.quantization.conversion.packing import load_packed, pack_model
from cl_strategies.plugins.quantization.functional import lsq
from cl_strategies.plugins.quantization.onnx.export import export_onnx
from cl_strategies.plugins.quantization.quantizers.lsq import LSQ

FULL = {"weight_bits": 32, "activation_bits": 32}


class Residual(nn.Module):
    """A block whose norms are registered far from their convolutions; one norm has a branch."""

    def __init__(self):
        super().__init__()
        self.norms = nn.ModuleList(nn.BatchNorm2d(n) for n in (4, 6, 6, 6))
        self.stem = nn.Conv2d(1, 4, 3)
        self.one = nn.Conv2d(4, 6, 3, padding=1, bias=False)
        self.two = nn.Conv2d(6, 6, 3, padding=1, groups=2)
        self.branch = nn.Conv2d(6, 6, 1)
        self.up = nn.ConvTranspose2d(6, 4, 2, groups=2)
        self.last = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        x = self.norms[0](self.stem(x)).relu()
        x = torch.relu(self.norms[1](self.one(x)))
        x = x + self.norms[2](self.two(x))
        y = self.branch(x)
        x = nn.functional.silu(self.norms[3](y) + y)
        return self.head(self.last(self.up(x)).relu().mean((2, 3)))


def trained_plain(seed=0):
    """A network with running statistics, and with scales of both signs and zero."""
    torch.manual_seed(seed)
    model = Residual()
    for norm in [*model.norms, model.last]:
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    model.norms[1].weight.data[2] = 0
    for _ in range(5):
        model(3 * torch.randn(16, 1, 6, 6) + 1)
    return model


def folded(model, **options):
    return quantize_model(copy.deepcopy(model), fold_norms=True, **options)


def test_norms_are_found_by_the_flow_of_data():
    model = folded(trained_plain())
    found = {name: layer.folding for name, layer in quantized_layers(model).items()}
    assert found["stem"].norm is model.norms[0] and found["two"].norm is model.norms[2]
    assert found["branch"] is None  # its output goes elsewhere, too
    assert found["up"].norm is model.last
    skipped = folded(trained_plain(), skip=["last"])
    assert quantized_layers(skipped)["up"].folding is None


def test_where_nothing_is_rounded_it_is_the_plain_network():
    plain = trained_plain().double()
    model = copy.deepcopy(plain)
    quantize_model(model, fold_norms=True, weight_bits=8, activation_bits=32)
    for layer in quantized_layers(model).values():
        layer.weight_quantizer.bits = 32
    x = torch.randn(8, 1, 6, 6, dtype=torch.float64)
    for mode in (True, False):
        ours, theirs = model.train(mode)(x), plain.train(mode)(x)
        torch.testing.assert_close(ours, theirs)
        found = torch.autograd.grad(ours.square().sum(), model.one.weight)[0]
        expected = torch.autograd.grad(theirs.square().sum(), plain.one.weight)[0]
        torch.testing.assert_close(found, expected)


def test_evaluation_is_the_folded_layer_exactly():
    model = folded(trained_plain(), activation_bits=32, quantizer=LSQ(per_channel=True))
    model.train()(torch.randn(8, 1, 6, 6))
    model.eval()
    layer, norm = model.one, model.norms[1]
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    weight = layer.weight * torch.where(scale == 0, 1, scale).view(-1, 1, 1, 1)
    rounded = lsq(weight, layer.weight_quantizer.step, 4) * (scale != 0).view(-1, 1, 1, 1)
    bias = norm.bias - norm.running_mean * scale
    x = torch.randn(3, 4, 5, 5)
    expected = nn.functional.conv2d(x, rounded, bias, padding=1)
    torch.testing.assert_close(norm(layer(x)), expected, rtol=1e-5, atol=1e-6)
    made = layer.folded_weight()
    assert made.alive.tolist() == [1, 1, 0, 1, 1, 1]
    torch.testing.assert_close(made.bias, bias)
    decoded = layer.decode(made.encoded) * made.alive.view(-1, 1, 1, 1)
    torch.testing.assert_close(decoded, rounded)


def test_training_takes_the_statistics_of_the_batch_and_trains_scales():
    model = folded(trained_plain())
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    y = torch.arange(32) % 3
    x = 2 * torch.randn(3, 1, 6, 6)[y] + 0.3 * torch.randn(32, 1, 6, 6)
    before = copy.deepcopy(model.state_dict())
    losses = []
    for _ in range(12):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.1
    after = model.state_dict()
    for name in ("norms.1.weight", "norms.1.running_var", "one.weight", "norms.1.bias"):
        assert not torch.equal(before[name], after[name])
    assert float(after["norms.1.weight"][2]) != 0  # a scale of zero is no dead end


def test_frozen_norms_train_the_layer_that_is_deployed():
    model = folded(trained_plain()).train()
    model(torch.randn(8, 1, 6, 6))
    model.norms.eval()
    model.last.eval()
    x = torch.randn(4, 1, 6, 6)
    statistics = model.last.running_mean.clone()
    loss = model(x).square().sum()
    loss.backward()
    assert model.norms[1].weight.grad is not None and model.norms[2].bias.grad.abs().sum() > 0
    assert torch.equal(model.last.running_mean, statistics)
    torch.testing.assert_close(model.eval()(x).square().sum(), loss)


@pytest.mark.parametrize("quantizer", ["lsq-plus", "dorefa", "uniform"])
def test_it_packs_loads_and_copies(quantizer):
    model = folded(trained_plain(), quantizer=quantizer)
    model(torch.randn(8, 1, 6, 6))
    x = torch.randn(4, 1, 6, 6)
    expected = model.eval()(x)
    packed = pack_model(model)
    fresh = folded(Residual(), quantizer=quantizer).eval()
    assert torch.equal(load_packed(fresh, packed)(x), expected)
    twin = copy.deepcopy(model)
    twin.norms[1].running_var.mul_(4)  # the copy's norm is its own
    assert torch.equal(model(x), expected) and not torch.equal(twin(x), expected)
    again = folded(Residual(), quantizer=quantizer).eval()
    again.load_state_dict(model.state_dict())
    assert torch.equal(again(x), expected)
    full = dequantize_model(fresh)
    assert [type(m) for m in full.modules()] == [type(m) for m in Residual().modules()]
    near = dequantize_model(copy.deepcopy(model)).eval()(x)
    assert (full(x) - near).abs().max() < 2 * near.abs().max()


def test_norms_of_vectors_are_folded_into_linear_layers():
    model = nn.Sequential(
        nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2)
    )
    model(torch.randn(20, 4))
    made = quantize_model(copy.deepcopy(model), fold_norms=True, weight_bits=8, activation_bits=8)
    x = torch.randn(7, 4)
    made(x)
    torch.testing.assert_close(made.eval()(x), model.eval()(x), atol=0.2, rtol=0.2)
    with pytest.raises(UserError, match="name the norm in skip"):
        made[0](torch.randn(2, 6, 4))


def test_what_cannot_be_folded_is_refused():
    with pytest.raises(UserError, match="no quantized layer has a BatchNorm"):
        quantize_model(mlp(input_shape=(8,), n_classes=3, scenario="class"), fold_norms=True)
    with pytest.raises(UserError, match="alignq quantizes the outputs of BatchNorm"):
        folded(trained_plain(), quantizer="alignq")

    class Branching(Residual):
        def forward(self, x):
            return super().forward(x if x.sum() > 0 else -x)

    with pytest.raises(UserError, match="depends on values"):
        quantize_model(Branching(), fold_norms=True, example=torch.zeros(1, 1, 6, 6))
    shared = nn.BatchNorm2d(4)
    twice = nn.Sequential(nn.Conv2d(1, 4, 1), shared, nn.Conv2d(4, 4, 1), shared)
    with pytest.raises(UserError, match="no quantized layer has a BatchNorm"):
        quantize_model(twice, fold_norms=True)


def test_the_option_is_in_a_configuration_only_where_it_is_set():
    """So that the hash of every earlier run is what it was."""
    default = QuantizationConfig.from_table({"quantizer": "lsq"})
    assert "fold_norms" not in default.to_table()
    chosen = QuantizationConfig.from_table({"quantizer": "lsq", "fold_norms": True})
    assert chosen.to_table()["fold_norms"] is True
    assert QuantizationConfig.from_table(chosen.to_table()) == chosen
    model = trained_plain()
    chosen.plugin().quantize(model)
    assert model.stem.folding is not None
    assert "fold_norms" not in default.plugin().state_dict()["settings"]


def test_an_exported_network_computes_with_folded_weights(tmp_path):
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 6, 3),
        nn.BatchNorm2d(6),
        nn.Flatten(),
        nn.Linear(24, 3),
    )
    model[1].weight.data = torch.tensor([1.0, -0.5, 0.0, 2.0])
    model(torch.randn(32, 1, 6, 6) + 1)
    quantize_model(model, fold_norms=True, activation_bits=32)
    model(torch.randn(32, 1, 6, 6))
    x = torch.randn(5, 1, 6, 6)
    path = export_onnx(model.eval(), tmp_path / "model.onnx", input_shape=(1, 6, 6))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"input": x.numpy()})
    torch.testing.assert_close(torch.from_numpy(found), model(x), rtol=1e-4, atol=1e-5)
