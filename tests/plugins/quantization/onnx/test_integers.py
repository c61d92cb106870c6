"""Export with calibration images: a file that onnxruntime computes in integers."""

from __future__ import annotations

import copy
import math
from types import SimpleNamespace

import onnx
import onnxruntime
import pytest
import torch
from avalanche.models.dynamic_modules import avalanche_model_adaptation
from torch import nn
from torch.nn import functional as F

from cl_strategies.errors import UserError
from cl_strategies.plugins.quantization.conversion.convert import quantize_model
from cl_strategies.plugins.quantization.onnx.evaluation import folded_weight, logits
from cl_strategies.plugins.quantization.onnx.export import export_onnx
from cl_strategies.plugins.quantization.onnx.grids import Grid, between
from cl_strategies.plugins.quantization.onnx.integer_operators import integer_operators, operators
from cl_strategies.plugins.quantization.onnx.rearranging import rearrange
from cl_strategies.plugins.quantization.onnx.tracing import trace
from cl_strategies.plugins.quantization.onnx.weights import in_bytes, levels
from cl_strategies.plugins.quantization.quantizers.scheme import scheme
from cl_strategies.registry import registry

QUANTIZERS = [entry.name for entry in registry("quantizers")]
EQUIDISTANT = [name for name in QUANTIZERS if name not in ("alignq", "apot")]
SHAPE = (1, 8, 8)


def network(name="small-resnet", scenario="class", shape=SHAPE, **options):
    torch.manual_seed(0)
    if name == "small-resnet":
        options = {"channels": [4, 8], "stem_stride": 1} | options
    factory = registry("models")[name].load()
    return factory(input_shape=shape, n_classes=10, scenario=scenario, **options)


def images(count, shape=SHAPE):
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(1))


def warmed(model, x, seed=2):
    """The model after a few batches, with BatchNorms that scale by all kinds of factors."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data = torch.randn(len(module.weight), generator=generator) + 0.5
            module.weight.data[0] = 0.0
            module.bias.data = 0.3 * torch.randn(len(module.weight), generator=generator)
    with torch.no_grad():
        for _ in range(8):
            model.train()(x)
    return model.eval()


def run(path, x):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {"input": x.numpy()})[0])


@pytest.mark.parametrize("bits", [1, 4])
@pytest.mark.parametrize("quantizer", QUANTIZERS)
def test_rearranging_changes_nothing(quantizer, bits):
    model = quantize_model(
        network(), quantizer=quantizer, weight_bits=bits, activation_bits=max(bits, 2)
    )
    x = images(16)
    model = warmed(model, x).double()
    with torch.no_grad():
        expected = model(x.double())
    moved = trace(copy.deepcopy(model))
    torch.testing.assert_close(logits(moved, x.double()), expected)
    rearrange(moved)
    assert not list(moved.of_kind("norm"))
    torch.testing.assert_close(logits(moved, x.double()), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "bits",
    [1, pytest.param(2, marks=pytest.mark.slow), 4, pytest.param(7, marks=pytest.mark.slow), 8],
)
@pytest.mark.parametrize("quantizer", [name for name in QUANTIZERS if name != "apot"])
def test_folded_weights_are_bytes_exactly_below_8_bits(quantizer, bits):
    model = quantize_model(network(), quantizer=quantizer, weight_bits=bits, activation_bits=32)
    moved = trace(warmed(model, images(4)))
    rearrange(moved)
    for node in moved.of_kind("conv"):
        expected = folded_weight(node).detach().double()
        found = levels(node)
        codes, unit = in_bytes(found, node.bias, 1e-2)
        assert codes.dtype == torch.int8
        error = (codes * unit - expected).square().flatten(1).mean(1).sqrt()
        largest = expected.abs().flatten(1).amax(1)
        limit = 1e-6 if bits < 8 else 0.51 / 127
        assert (error <= limit * largest + 1e-9).all()
        assert (codes[node.factor == 0] == 0).all()
        # products of two bytes and a weight fit 16 bits, as processors without VNNI need
        assert bits > 6 or codes.abs().max() <= 64
        held = node.bias / (0.01 * unit.flatten())
        assert held.abs().max() < 2**31


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("quantizer", EQUIDISTANT)
def test_no_weight_in_int8_overflows_on_a_processor_without_vnni(quantizer, bits, tmp_path):
    """Two products with a byte fit 16 bits; larger weights are bytes without a sign."""
    model = quantize_model(network(), quantizer=quantizer, weight_bits=bits, activation_bits=8)
    x = images(64)
    path = export_onnx(warmed(model, x), tmp_path / "m.onnx", input_shape=SHAPE, calibrate=x)
    graph = onnx.load(path).graph
    known = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}
    signed = [array for array in known.values() if array.dtype == "int8"]
    assert all(abs(array.astype(int)).max() <= 64 for array in signed)
    pairs = [node.input for node in graph.node if node.op_type == "DequantizeLinear"]
    weights = [(codes, known[zero]) for codes, _, zero in pairs if known[zero].ndim]
    weights = [(codes, zero) for codes, zero in weights if zero.dtype != "int32"]
    assert all((zero == (128 if zero.dtype == "uint8" else 0)).all() for _, zero in weights)
    for codes, zero in weights:
        large = bits == 8 and abs(known[codes].astype(int) - int(zero[0])).max() > 64
        assert large == (zero.dtype == "uint8")


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("quantizer", EQUIDISTANT)
def test_everything_between_input_and_classifier_is_integers(quantizer, bits, tmp_path):
    model = quantize_model(network(), quantizer=quantizer, weight_bits=bits, activation_bits=bits)
    x = images(64)
    for module in (model := warmed(model, x)).modules():
        if isinstance(module, nn.BatchNorm2d):  # as trained: what is folded is not all noise
            module.weight.data.abs_().clamp_(0.5, 1.0)
    path = export_onnx(model, tmp_path / "m.onnx", input_shape=SHAPE, calibrate=x)
    found = operators(path)
    convolutions = sum(isinstance(module, nn.Conv2d) for module in model.modules())
    assert found["QLinearConv"] == convolutions and "Conv" not in found
    assert "QLinearAdd" in integer_operators(path)
    with torch.no_grad():
        expected = model(x)
    error = (run(path, x) - expected).square().mean().sqrt()
    assert error < 0.25 * expected.std(0).mean() + 0.05
    again = export_onnx(model, tmp_path / "again.onnx", input_shape=SHAPE, calibrate=x)
    assert again.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("quantizer", ["lsq", "pact", "uniform"])
def test_a_chain_loses_only_the_rounding_of_its_input(quantizer, tmp_path):
    """Pooling and ReLU in either order between layers: all grids are the network's own."""
    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.Conv2d(1, 4, 3, padding=1), nn.MaxPool2d(2), nn.ReLU()),
        *(nn.Conv2d(4, 6, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)),
    )
    quantize_model(model, quantizer=quantizer, weight_bits=4, activation_bits=8, last_bits=8)
    x = (images(64) * 255).round() / 255  # levels that a byte holds
    path = export_onnx(warmed(model, x), tmp_path / "m.onnx", input_shape=SHAPE, calibrate=x)
    found = operators(path)
    assert found["QLinearConv"] == 2 and found["QGemm"] == 2
    assert not {"Conv", "Gemm", "Relu", "QLinearLeakyRelu"} & set(found)
    with torch.no_grad():
        expected = model(x)
    torch.testing.assert_close(run(path, x), expected, rtol=0.02, atol=0.05 * float(expected.std()))


@pytest.mark.parametrize("bits", [1, 4, 8])
@pytest.mark.parametrize("quantizer", ["dorefa", "pact", "lsq"])
def test_levels_without_zero_are_shifted_into_the_bias(quantizer, bits, tmp_path):
    torch.manual_seed(bits)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.Linear(16, 8), nn.Linear(8, 3))
    made = scheme(quantizer, signed=True)
    quantize_model(model, quantizer=made, weight_bits=4, activation_bits=bits)
    x = (images(32) * 255).round() / 255
    path = export_onnx(warmed(model, x), tmp_path / "m.onnx", input_shape=SHAPE, calibrate=x)
    assert operators(path)["QGemm"] == 2
    with torch.no_grad():
        expected = model(x)
    close = (run(path, x) - expected).abs() < 0.02 * expected.std()
    assert close.float().mean() > 0.7  # the others have a value at the edge of two levels


@pytest.mark.parametrize(("bits", "opset"), [(2, 25), (3, 21), (4, 21), (8, 17)])
def test_weights_take_the_smallest_type(bits, opset, tmp_path):
    model = quantize_model(network(channels=[16, 32]), weight_bits=bits, activation_bits=8)
    path = export_onnx(warmed(model, images(8)), tmp_path / "m.onnx", input_shape=SHAPE,
                       calibrate=images(8))  # fmt: skip
    made = onnx.load(str(path))
    assert made.opset_import[0].version == opset
    full = export_onnx(network(channels=[16, 32]), tmp_path / "f.onnx", input_shape=SHAPE)
    saved = 32 / next(width for width in (2, 4, 8) if bits <= width)
    assert path.stat().st_size < full.stat().st_size / saved + 12_000


@pytest.mark.parametrize("quantizer", ["alignq", "apot"])
def test_levels_that_are_not_equidistant_are_computed_in_float(quantizer, tmp_path):
    model = warmed(quantize_model(network(), quantizer=quantizer), images(32))
    x = images(16)
    with pytest.warns(UserWarning, match="not on equidistant levels"):
        path = export_onnx(model, tmp_path / "m.onnx", input_shape=SHAPE, calibrate=x)
    assert not integer_operators(path)
    plain = export_onnx(model, tmp_path / "p.onnx", input_shape=SHAPE)
    assert plain.read_bytes() == path.read_bytes()


@pytest.mark.parametrize(("quantizer", "weight_bits"), [("dorefa", 8), ("lsq", 32), ("lsq", 4)])
def test_a_runtime_rounds_no_weights_that_are_no_bytes(quantizer, weight_bits, tmp_path):
    """Left to itself, onnxruntime rounds float weights between two grids to bytes."""
    bits = {"weight_bits": weight_bits, "activation_bits": 8}
    x = images(32)
    model = warmed(quantize_model(network(channels=[4]), quantizer=quantizer, **bits), x)
    exact = operators(export_onnx(model, tmp_path / "exact.onnx", input_shape=SHAPE))
    assert "QLinearConv" not in exact
    path = export_onnx(model, tmp_path / "m.onnx", input_shape=SHAPE, calibrate=x)
    assert operators(path).get("QLinearConv", 0) == (0 if weight_bits == 32 else 3)


def test_shortcuts_without_parameters_move_bytes(tmp_path):
    shape = (3, 16, 16)
    model = quantize_model(network("resnet20", shape=shape, width=4), quantizer="uniform")
    x = images(16, shape)
    path = export_onnx(warmed(model, x), tmp_path / "m.onnx", input_shape=shape, calibrate=x)
    found = operators(path)
    assert found["QLinearConv"] == 19 and found["Pad"] == 2 and "Conv" not in found


def learn(model, classes, task=0, multi=False):
    """One experience: the head gets room, and a few steps are taken."""
    seen = SimpleNamespace(classes_in_this_experience=classes, task_labels=[task])
    avalanche_model_adaptation(model.train(), seen)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for step in range(2):
        x, y = images(16) + step / 10, torch.tensor(classes).repeat(8)
        out = model(x, task) if multi else model(x)
        optimizer.zero_grad()
        F.cross_entropy(out, y).backward()
        optimizer.step()


@pytest.mark.parametrize("head", ["normal", "growing", "multi"])
def test_after_five_experiences(head, tmp_path):
    multi = head == "multi"
    options = {"head": "growing"} if head == "growing" else {}
    model = network(scenario="task" if multi else "class", **options)
    quantize_model(model, quantizer="lsq", weight_bits=8, activation_bits=8)
    order = [7, 0, 3, 9, 1, 2, 8, 4, 6, 5]  # growing heads have rows in order of arrival
    x = images(32)
    for task in range(5):
        learn(model, [0, 1] if multi else order[2 * task : 2 * task + 2], task * multi, multi)
    model.eval()
    for task in range(5) if multi else [None]:
        path = export_onnx(
            model, tmp_path / f"{task}.onnx", input_shape=SHAPE, task=task, calibrate=x
        )
        with torch.no_grad():
            expected = model(x, task) if multi else model(x)
        found = run(path, x)
        assert found.shape == expected.shape == (32, 2 if multi else 10)
        torch.testing.assert_close(found, expected, rtol=0.05, atol=0.05)
        assert integer_operators(path)["QLinearConv"] >= 5
    if multi:
        with pytest.raises(UserError, match=r"each of the tasks \[0, 1, 2, 3, 4\]"):
            export_onnx(model, tmp_path / "n.onnx", input_shape=SHAPE, calibrate=x)


def test_grids():
    grid = Grid(0.5, 8, 15)
    assert (grid.low, grid.high) == (-4.0, 3.5)
    assert [grid.code(v) for v in (-math.inf, -4.2, 0, 0.26, 9, math.inf)] == [0, 0, 8, 9, 15, 15]
    assert grid.at_the_top().code(math.inf) == 255 and grid.at_the_top().low == grid.low
    x = torch.tensor([-9.0, 0.3, 0.2, 9.0])
    assert grid.rounded(x).tolist() == [-4.0, 0.5, 0.0, 3.5]
    assert between(0.0, 2.55).zero == 0 and math.isclose(
        between(0.0, 2.55).scale, 0.01, rel_tol=1e-6
    )
    for low, high in ((-1.0, 3.0), (-2.0, 0.0), (0.5, 1.0), (-1e-9, 1.0), (0.0, 0.0)):
        made = between(low, high)
        assert made.low <= min(low, 0) + made.scale / 100 and made.high >= high - made.scale / 100
        assert 0 <= made.zero <= 255


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x[:0], "holds 0 images"),
        (lambda x: x[:, :, :4], r"of shape \(1, 4, 8\)"),
        (lambda x: x * float("nan"), "finite"),
        (lambda x: x.numpy(), "is a ndarray"),
    ],
)
def test_images_that_do_not_fit_are_refused(change, message, tmp_path):
    model = warmed(quantize_model(network()), images(8))
    with pytest.raises(UserError, match=message):
        export_onnx(model, tmp_path / "m.onnx", input_shape=SHAPE, calibrate=change(images(4)))


def test_calibration_needs_quantized_layers_and_counting_a_file(tmp_path):
    with pytest.raises(UserError, match="no quantized layer"):
        export_onnx(network(), tmp_path / "m.onnx", input_shape=SHAPE, calibrate=images(4))
    with pytest.raises(UserError, match="there is no file"):
        integer_operators(tmp_path / "m.onnx")


@pytest.mark.parametrize("quantizer", ["lsq-plus", "dorefa"])
def test_norms_that_were_folded_in_training_are_part_of_the_integers(quantizer, tmp_path):
    x = images(64)
    model = network()
    quantize_model(model, quantizer=quantizer, weight_bits=8, activation_bits=8, fold_norms=True)
    model = warmed(model, x)
    assert not list(trace(model).of_kind("norm"))
    double = copy.deepcopy(model).double()
    with torch.no_grad():
        torch.testing.assert_close(logits(trace(double), x.double()), double(x.double()))
        expected = model(x)
    path = export_onnx(model, tmp_path / "folded.onnx", input_shape=SHAPE, calibrate=x)
    assert integer_operators(path)["QLinearConv"] >= 5
    spread = expected.std(0).mean()
    assert (run(path, x) - expected).square().mean().sqrt() < 0.1 * spread
