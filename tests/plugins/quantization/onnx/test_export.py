"""Export to ONNX, run by onnxruntime: the numbers of the network, in integers where it rounds."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from avalanche.models.dynamic_modules import avalanche_model_adaptation
from torch import nn
from torch.nn import functional as F

from cl_strategies.benchmarks.datasets.registry import load_dataset
from cl_strategies.errors import UserError
from cl_strategies.plugins.quantization.conversion.convert import quantize_model
from cl_strategies.plugins.quantization.conversion.packing import load_packed, pack_model
from cl_strategies.plugins.quantization.onnx.emission import Emission
from cl_strategies.plugins.quantization.onnx.export import export_onnx
from cl_strategies.plugins.quantization.onnx.graph import Graph
from cl_strategies.plugins.quantization.onnx.network import Network, Node
from cl_strategies.plugins.quantization.onnx.weights import float_weight
from cl_strategies.plugins.quantization.quantizers.alignq import AlignQScheme
from cl_strategies.plugins.quantization.quantizers.base import ActivationQuantizer
from cl_strategies.plugins.quantization.quantizers.proxq import ProxQ
from cl_strategies.plugins.quantization.quantizers.scheme import Scheme, scheme
from cl_strategies.registry import registry

QUANTIZERS = [entry.name for entry in registry("quantizers")]


@pytest.fixture(scope="module")
def digits():
    data = load_dataset("digits")
    (x, y), (z, t) = ((s.x, torch.from_numpy(s.labels)) for s in (data.train, data.test))
    return x, y, z, t


def network(name, shape=(1, 8, 8), scenario="class", **options):
    torch.manual_seed(0)
    factory = registry("models")[name].load()
    return factory(input_shape=shape, n_classes=10, scenario=scenario, **options)


def trained(model, digits, steps):
    """The model after a little training on digits, in evaluation."""
    x, y, *_ = digits
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for step in range(steps):
        rows = torch.arange(step * 32, (step + 1) * 32) % len(x)
        optimizer.zero_grad()
        F.cross_entropy(model.train()(x[rows]), y[rows]).backward()
        optimizer.step()
    return model.eval()


def session_of(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # others would wait busily, on every core
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def run(path, x):
    session = session_of(path)
    (result,) = session.run(None, {"input": x.numpy()})
    return torch.from_numpy(result)


def far_from_edges(model, x):
    """Outputs for ``x``, and which rows of them have no value within rounding of the edge between
    two levels: only of those must another implementation find the same levels."""
    stable = torch.ones(len(x), dtype=torch.bool)

    def watch(quantizer, inputs, output):
        (z,) = inputs
        noise = 1e-5 * z.abs().max() * (z != 0)
        for moved in (z - noise, z + noise):
            same = quantizer.forward(moved) == output
            stable.logical_and_(same.flatten(1).all(1))

    quantizers = [m for m in model.modules() if isinstance(m, ActivationQuantizer)]
    hooks = [quantizer.register_forward_hook(watch) for quantizer in quantizers]
    with torch.no_grad():
        outputs = model.eval()(x)
    for hook in hooks:
        hook.remove()
    return outputs, stable


@pytest.mark.parametrize(("name", "bits"), [("mlp", 2), ("mlp", 4), ("small-resnet", 4)])
@pytest.mark.parametrize("quantizer", QUANTIZERS)
def test_onnxruntime_predicts_what_the_network_predicts(name, quantizer, bits, digits, tmp_path):
    options = {"hidden": [32, 32]} if name == "mlp" else {"channels": [4, 8], "stem_stride": 1}
    model = network(name, **options)
    quantize_model(model, quantizer=quantizer, weight_bits=bits, activation_bits=bits)
    trained(model, digits, steps=10)
    path = export_onnx(model, tmp_path / "model.onnx", input_shape=(1, 8, 8))
    x = digits[2]
    expected, stable = far_from_edges(model, x)
    assert stable.sum() > len(x) // 4 and len(expected[stable].unique(dim=0)) > 1
    torch.testing.assert_close(run(path, x)[stable], expected[stable], rtol=1e-4, atol=1e-4)
    one = stable.nonzero()[0]
    torch.testing.assert_close(run(path, x[one]), expected[one], rtol=1e-4, atol=1e-4)  # any batch


@pytest.mark.parametrize(
    ("name", "shape", "options"),
    [
        ("cnn", (1, 8, 8), {}),
        ("wide-lenet", (1, 16, 16), {}),
        ("resnet20", (3, 16, 16), {"width": 4}),
        ("resnet20", (3, 16, 16), {"width": 4, "shortcut": "projection"}),
        pytest.param("slim-resnet18", (3, 32, 32), {"width": 4}, marks=pytest.mark.slow),
        ("reduced-resnet18", (3, 32, 32), {"width": 4}),
        ("small-alexnet", (3, 32, 32), {}),
        ("mobilenet-v2-cifar", (1, 8, 8), {}),
        pytest.param("mobilenet-v2", (3, 32, 32), {}, marks=pytest.mark.slow),
        pytest.param("resnet18", (3, 32, 32), {}, marks=pytest.mark.slow),
    ],
)
def test_the_registered_networks_can_be_exported(name, shape, options, tmp_path):
    model = network(name, shape, **options)
    quantize_model(model, quantizer="lsq", weight_bits=4, activation_bits=8)
    x = torch.rand(16, *shape)
    model.train()(x)
    path = export_onnx(model, tmp_path / "model.onnx", input_shape=shape)
    assert model.training
    with torch.no_grad():
        found, expected = run(path, x), model.eval()(x)
    assert (found - expected).abs().amax(1).median() < 1e-4
    # A level that flips at its edge moves the logits of one image.
    same = torch.isclose(found, expected, rtol=0.05, atol=0.05).all(1)
    assert same.float().mean() >= 0.75
    assert (found - expected).abs().max() < 1.0


def test_a_full_precision_network_is_exported_too(digits, tmp_path):
    model = trained(network("cnn"), digits, steps=3)
    path = export_onnx(model, tmp_path / "model.onnx", input_shape=(1, 8, 8))
    with torch.no_grad():
        torch.testing.assert_close(run(path, digits[2]), model(digits[2]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("quantizer", QUANTIZERS)
def test_weights_are_packed_and_exact(quantizer, bits, folded, tmp_path):
    torch.manual_seed(bits)
    model = nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 3))
    quantize_model(model, quantizer=quantizer, weight_bits=bits, activation_bits=32)
    factor = torch.tensor([0.5, -2.0, 0.0, 1e-3, 1.0]).double() if folded else None
    graph = Graph()
    node = Node(kind="linear", name="0", layer=model[0], factor=factor)
    name = float_weight(graph, node)
    made = onnx_constant(graph, name, tmp_path)
    expected = model[0].quantized_weight().detach().double()
    expected = expected if factor is None else expected * factor[:, None]
    np.testing.assert_allclose(made, expected.numpy(), rtol=3e-6, atol=1e-7)
    kinds = [onnx.TensorProto.DataType.Name(c.data_type) for c in graph.constants if 30 in sizes(c)]
    smallest = next(width for width in (2, 4, 8) if bits <= width)
    assert kinds in ([f"UINT{smallest}"], ["INT8"])
    assert smallest == 8 or kinds == [f"UINT{smallest}"]


def sizes(constant):
    return [int(np.prod(constant.dims))]


def onnx_constant(graph, name, folder):
    """What a graph of constants computes."""
    helper = onnx.helper
    output = helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
    made = helper.make_graph(graph.nodes, "constant", [], [output], graph.constants)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 25)], ir_version=13)
    onnx.save(model, folder / "constant.onnx")
    return session_of(folder / "constant.onnx").run(None, {})[0]


def schemes():
    for name in QUANTIZERS:
        yield pytest.param(scheme(name), id=name)
    yield pytest.param(scheme("uniform", symmetric=True), id="uniform-symmetric")
    for name in ("dorefa", "pact", "lsq", "llsq", "apot", "lifequant"):
        for signed in (True, False):
            yield pytest.param(scheme(name, signed=signed), id=f"{name}-{signed}")


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("made", schemes())
@pytest.mark.parametrize("features", [None, 7])
def test_every_activation_quantizer_rounds_as_in_torch(made, bits, features, tmp_path):
    assert isinstance(made, Scheme)
    torch.manual_seed(bits)
    quantizer = made.activation(bits, features=features)
    x = torch.randn(400, 7)
    quantizer.train()(x)
    quantizer.eval()
    graph, source = Graph(), Node(kind="input")
    rounded = Node(kind="quantize", inputs=[source], layer=quantizer)
    network = Network([source, rounded, Node(kind="output", inputs=[rounded])])
    result = Emission(graph, network, {}, whole=False).result()
    onnx.save(graph.model("input", result, [7], 7), tmp_path / "activation.onnx")
    z = torch.cat([x, torch.zeros(1, 7), torch.full((1, 7), 1e6), torch.full((1, 7), -1e6)])
    found = run(tmp_path / "activation.onnx", z)
    with torch.no_grad():
        expected = quantizer(z)
    close = torch.isclose(found, expected, rtol=1e-5, atol=1e-6)
    assert close.float().mean() > 0.999
    step = (expected.max() - expected.min()) / (2**bits - 1)
    assert (found - expected).abs().max() <= 2 * step + 1e-5
    assert len(found.unique().round(decimals=4).unique()) <= 2**bits


def test_the_graph_has_pairs_of_quantize_and_dequantize_and_is_smaller(digits, tmp_path):
    model = network("mlp", hidden=[256, 256])
    full = export_onnx(model, tmp_path / "full.onnx", input_shape=(1, 8, 8))
    quantize_model(model, quantizer="lsq")
    path = export_onnx(trained(model, digits, 2), tmp_path / "low.onnx", input_shape=(1, 8, 8))
    nodes = onnx.load(str(path)).graph.node
    kinds = [node.op_type for node in nodes]
    assert kinds.count("QuantizeLinear") == 1
    assert kinds.count("DequantizeLinear") == 1 + 2
    assert "Clip" not in kinds[: kinds.index("QuantizeLinear")]
    assert path.stat().st_size < full.stat().st_size / 6


def test_a_head_of_a_task_is_chosen(digits, tmp_path):
    model = network("mlp", scenario="task", hidden=[16])
    quantize_model(model, quantizer="lifequant")
    for task in (0, 3):
        seen = SimpleNamespace(classes_in_this_experience=[0, 1, 2], task_labels=[task])
        avalanche_model_adaptation(model, seen)
    x = digits[2]
    model.train()(x, 0)
    path = export_onnx(model, tmp_path / "head.onnx", input_shape=(1, 8, 8), task=3)
    with torch.no_grad():
        torch.testing.assert_close(run(path, x), model.eval()(x, 3), rtol=1e-4, atol=1e-5)
    for task in (None, 1):
        with pytest.raises(UserError, match=r"each of the tasks \[0, 3\]"):
            export_onnx(model, tmp_path / "none.onnx", input_shape=(1, 8, 8), task=task)
    with pytest.raises(UserError, match="one head"):
        export_onnx(network("mlp"), tmp_path / "x.onnx", input_shape=(1, 8, 8), task=0)


def test_a_head_that_grew_is_exported_with_the_classes_that_it_was_trained_on(tmp_path):
    model = network("mlp", head="growing", hidden=[16])
    seen = SimpleNamespace(classes_in_this_experience=[0, 1, 4], task_labels=[0])
    avalanche_model_adaptation(model.train(), seen)
    path = export_onnx(model, tmp_path / "grown.onnx", input_shape=(1, 8, 8))
    assert run(path, torch.rand(3, 1, 8, 8)).shape == (3, 5)


class Decides(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


class Sine(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x):
        return self.layer(torch.sin(x))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Sequential(nn.Linear(4, 4), nn.Softplus()), "1, a Softplus, has no ONNX form"),
        (nn.Sequential(nn.Linear(4, 4), Decides()), "decides by the values"),
        (Sine(), "computes .*sin.* has no ONNX form"),
        (nn.Sequential(nn.BatchNorm1d(4, track_running_stats=False)), "no running statistics"),
    ],
)
def test_what_has_no_onnx_form_is_named(model, message, tmp_path):
    with pytest.raises(UserError, match=message):
        export_onnx(model, tmp_path / "model.onnx", input_shape=(4,))
    assert not (tmp_path / "model.onnx").exists()


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (AlignQScheme(levels="released"), "more than 16 levels"),
        (ProxQ(clamp=False), "more than 16 levels"),
    ],
)
def test_levels_that_need_more_bits_are_refused(made, message, tmp_path):
    model = quantize_model(network("mlp"), quantizer=made)
    with pytest.raises(UserError, match=message):
        export_onnx(model, tmp_path / "model.onnx", input_shape=(1, 8, 8))


def test_an_untrained_or_packed_model_is_refused(digits, tmp_path):
    model = quantize_model(network("mlp"), quantizer="lsq")
    with pytest.raises(UserError, match="have no range yet"):
        export_onnx(model, tmp_path / "model.onnx", input_shape=(1, 8, 8))
    packed = pack_model(trained(model, digits, 1))
    twin = load_packed(quantize_model(network("mlp"), quantizer="lsq").eval(), packed)
    with pytest.raises(UserError, match="loaded from a packed model"):
        export_onnx(twin, tmp_path / "model.onnx", input_shape=(1, 8, 8))


def test_without_the_package_the_error_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with warnings.catch_warnings(), pytest.raises(UserError, match=r"cl-strategies\[onnx\]"):
        export_onnx(network("mlp"), tmp_path / "model.onnx", input_shape=(1, 8, 8))
