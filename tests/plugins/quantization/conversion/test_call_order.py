"""Layers are judged by how the network calls them, not by where they are registered."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from cl_strategies.errors import UserError
from cl_strategies.models.call_order import call_order
from cl_strategies.plugins.incremental.network import split_head
from cl_strategies.plugins.quantization.conversion.convert import dequantize_model, quantize_model
from cl_strategies.plugins.quantization.conversion.layers import quantized_layers
from cl_strategies.plugins.quantization.conversion.measures import layer_table
from cl_strategies.plugins.quantization.conversion.packing import load_packed, pack_model
from cl_strategies.plugins.quantization.onnx.export import export_onnx


class Backwards(nn.Module):
    """Registers its layers in the opposite order of their calls."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(6, 3)
        self.middle = nn.Linear(5, 6)
        self.stem = nn.Linear(4, 5)

    def forward(self, x):
        return self.head(self.middle(self.stem(x).relu()).relu())


class Branching(Backwards):
    """As above, with code that depends on data."""

    def forward(self, x):
        return super().forward(x if x.sum() > 0 else 2 * x)


class Auxiliary(Backwards):
    """Has a head that is registered last and never called, and one that training alone calls."""

    def __init__(self):
        super().__init__()
        self.unused = nn.Linear(6, 3)
        self.auxiliary = nn.Linear(6, 3)

    def forward(self, x):
        h = self.middle(self.stem(x).relu()).relu()
        return self.head(h) + self.auxiliary(h) if self.training else self.head(h)


class Functional(nn.Module):
    """Uses the weight of ``qkv`` as torchvision's Swin attention does."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(4, 4)
        self.qkv = nn.Linear(4, 4)
        self.head = nn.Linear(4, 2)

    def mixed(self, x):
        return F.linear(x, self.qkv.weight, self.qkv.bias)

    def forward(self, x):
        return self.head(self.mixed(self.stem(x)).relu())


class Transposed(Functional):
    def mixed(self, x):
        return x @ self.qkv.weight.t()


class Tied(Functional):
    """Calls a layer, and uses its weight again."""

    def mixed(self, x):
        return F.linear(self.qkv(x), self.qkv.weight.t())


class AttentionFunction(Functional):
    """As torch's own attention uses its output projection."""

    def mixed(self, x):
        third = torch.cat([torch.eye(4)] * 3)
        q = x[:, None]
        return F.multi_head_attention_forward(
            *(q, q, q, 4, 2, third, torch.zeros(12), None, None, False, 0.0),
            *(self.qkv.weight, self.qkv.bias),
        )[0][:, 0]


class Data(Functional):
    def mixed(self, x):
        return F.linear(x, self.qkv.weight.data, self.qkv.bias)


BYPASSING = [Functional, Transposed, Tied, AttentionFunction, Data]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kind", BYPASSING)
def test_a_layer_whose_weight_is_used_without_it_is_refused_by_name(kind, training):
    model = quantize_model(kind(), weight_bits=3, activation_bits=32).train(training)
    with pytest.raises(UserError, match=r"'qkv' is used without calling.*skip=\['qkv'\]"):
        model(torch.rand(3, 4))
    for use in (pack_model, layer_table, lambda m: export_onnx(m, "unused", input_shape=(4,))):
        with pytest.raises(UserError, match="'qkv' is used without"):
            use(model)


@pytest.mark.parametrize("kind", BYPASSING)
def test_such_a_layer_can_be_left_alone_and_the_packed_model_computes_the_same(kind):
    options = {"weight_bits": 3, "activation_bits": 32, "skip": ["qkv"]}
    model = quantize_model(kind(), **options).train()
    x = torch.rand(3, 4)
    model(x).sum().backward()
    twin = quantize_model(copy.deepcopy(dequantize_model(copy.deepcopy(model))), **options)
    load_packed(twin.eval(), pack_model(model.eval()))
    assert torch.equal(twin(x), model(x))


@pytest.mark.parametrize("inside", ["backbone", "whole"])
def test_it_is_refused_as_a_part_of_another_network(inside):
    body = quantize_model(Functional(), weight_bits=3)
    model = nn.Sequential(body if inside == "whole" else nn.Sequential(body), nn.Linear(2, 2))
    with pytest.raises(UserError, match="'qkv' is used without"):
        model(torch.rand(3, 4))


def test_what_is_not_used_or_only_looked_at_is_no_error():
    model = quantize_model(Auxiliary(), weight_bits=3, last_bits=3)

    def look(module, given, result):
        seen.append(float(module.weight[0].norm() / module.weight.to(result.dtype).norm()))
        return result.to(module.weight) + torch.zeros_like(module.weight).sum()

    seen = []
    for layer in quantized_layers(model).values():
        layer.register_forward_hook(look)
    for mode in (True, False, True):
        model.train(mode)(torch.rand(5, 4))
    assert seen
    assert {row["layer"] for row in layer_table(model)} >= {"unused", "auxiliary"}


class Penalized(Functional):
    """Computes its loss in forward, with penalties on its weights, as some models do."""

    def __init__(self):
        super().__init__()
        self.register_buffer("old", torch.zeros(4, 4))
        self.register_buffer("importance", torch.ones(4, 4))

    def forward(self, x):
        y = self.head(self.qkv(self.stem(x)).relu())
        moved = self.importance * (self.qkv.weight - self.old).square()
        return y, y.square().mean() + 0.1 * moved.sum() + self.stem.weight.data.norm()


class Embedding(nn.Module):
    """Has the weight of its embedding in another layer as well."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(5, 4)
        self.inner = nn.Linear(4, 4)
        self.outer = nn.Linear(4, 5, bias=False)
        self.head = nn.Linear(5, 2)
        self.outer.weight = self.embedding.weight

    def forward(self, x):
        return self.head(self.outer(self.inner(self.embedding(x)).relu()))


class Kept(Functional):
    """Uses a weight under another name, which does not make it another weight."""

    def __init__(self):
        super().__init__()
        self.kept = self.qkv.weight

    def mixed(self, x):
        return F.linear(x, self.kept)


class TrainedAlone(Functional):
    """Calls a layer in training, and uses its weight in evaluation."""

    def mixed(self, x):
        return self.qkv(x) if self.training else super().mixed(x)


def test_a_penalty_in_the_forward_pass_is_no_error():
    model = quantize_model(Penalized(), weight_bits=3, activation_bits=32)
    for mode in (True, False):
        model.train(mode)(torch.rand(5, 4))
    assert pack_model(model)["layers"].keys() == {"stem.weight", "qkv.weight"}


def test_a_weight_shared_with_a_module_left_alone_computes_and_packs_as_it_is():
    options = {"weight_bits": 3, "activation_bits": 32, "skip": ["embedding"]}
    x = torch.tensor([[0, 3], [4, 1]])
    model = quantize_model(Embedding(), **options)
    for mode in (True, False):
        expected = model.train(mode)(x)
    twin = quantize_model(Embedding(), **options).eval()
    load_packed(twin, pack_model(model))
    assert torch.equal(twin(x), expected)
    assert torch.equal(twin.embedding.weight, model.embedding.weight)


def test_a_weight_under_a_second_name_is_refused():
    with pytest.raises(UserError, match="'qkv' is used without"):
        quantize_model(Kept(), weight_bits=3)(torch.rand(3, 4))


def test_evaluation_is_checked_of_its_own():
    model = quantize_model(TrainedAlone(), weight_bits=3)
    model.train()(torch.rand(3, 4)).sum().backward()
    with pytest.raises(UserError, match="'qkv' is used without"):
        model.eval()(torch.rand(3, 4))


def test_transformers_layers_do_not_compute_past_their_quantized_ones():
    encoder = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), 2, enable_nested_tensor=False
    )
    model = nn.Sequential(nn.Linear(4, 4), encoder, nn.Linear(4, 2))
    x = torch.rand(3, 5, 4)
    quantize_model(model, weight_bits=2, activation_bits=32, skip=["*self_attn"], example=x)
    model.train()(x)
    model.eval()
    with torch.no_grad():  # where torch has a fast path, which uses the weights of all layers
        model(x)
        before = model(x)
        for layer in encoder.layers:
            layer.linear1.weight.mul_(1.001)  # within the cells of the grid
        assert torch.equal(model(x), before)


def test_the_check_leaves_no_trace_when_a_forward_pass_fails():
    model = quantize_model(Backwards(), weight_bits=3)
    with pytest.raises(RuntimeError):
        model(torch.rand(5, 3))
    assert torch.overrides._get_current_function_mode() is None
    model(torch.rand(5, 4)).sum().backward()
    assert torch.overrides._get_current_function_mode() is None


@pytest.mark.parametrize(
    ("kind", "example"),
    [(Backwards, None), (Auxiliary, None), (Branching, torch.zeros(1, 4))],
)
def test_first_and_last_follow_the_calls(kind, example):
    model = kind()
    rng = torch.get_rng_state()
    quantize_model(model, weight_bits=3, first_bits=8, example=example)
    assert torch.equal(torch.get_rng_state(), rng)
    bits = {name: m.weight_quantizer.bits for name, m in quantized_layers(model).items()}
    assert (bits["stem"], bits["middle"]) == (8, 3) and "head" not in bits
    assert model.stem.input_quantizer is None and model.middle.input_quantizer is not None
    assert type(dequantize_model(model).head) is nn.Linear


def test_an_order_that_cannot_be_known_is_refused_with_what_to_do():
    with pytest.raises(UserError, match="example=torch.zeros"):
        quantize_model(Branching())
    with pytest.raises(UserError, match="SingleHeadModel"):
        split_head(Branching())


def test_the_head_that_is_split_off_is_the_one_that_is_called_last():
    backbone, width = split_head(Backwards())
    assert width == 6 and isinstance(backbone.head, nn.Identity)
    assert backbone(torch.rand(2, 4)).shape == (2, 6)
    backbone, _ = split_head(Auxiliary())
    assert isinstance(backbone.head, nn.Identity) and isinstance(backbone.unused, nn.Linear)


def test_reading_the_order_leaves_the_network_as_it_was():
    class Keeps(Backwards):
        def forward(self, x):
            self.seen = x
            return super().forward(x)

    model = Keeps()
    model.middle.eval()
    names = call_order(model, lambda m: isinstance(m, nn.Linear))
    assert names == ["stem", "middle", "head"]
    assert not hasattr(model, "seen") and model.training and not model.middle.training
