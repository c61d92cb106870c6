"""Attention with quantized projections: torch's results where nothing is rounded."""

import copy

import pytest
import torch
from torch import nn

from cl_strategies.errors import UserError
from cl_strategies.plugins.quantization.conversion.convert import dequantize_model, quantize_model
from cl_strategies.plugins.quantization.conversion.layers import quantized_layers
from cl_strategies.plugins.quantization.conversion.measures import (
    layer_table,
    multiply_accumulates,
)
from cl_strategies.plugins.quantization.conversion.packing import load_packed, pack_model
from cl_strategies.plugins.quantization.layers.attention import QuantMultiheadAttention


class Net(nn.Module):
    """A layer of attention between two linear ones."""

    def __init__(self, **options):
        super().__init__()
        self.stem = nn.Linear(3, 8)
        self.attention = nn.MultiheadAttention(8, 2, **options)
        self.head = nn.Linear(8, 2)

    def forward(self, x):
        h = self.stem(x)
        return self.head(self.attention(h, h, h, need_weights=False)[0].mean(1))


def attentions(**options):
    """Torch's, and ours at full precision with the same weights."""
    torch.manual_seed(0)
    plain = Net(**options)
    nn.init.normal_(plain.attention.in_proj_bias) if options.get("bias", True) else None
    made = quantize_model(copy.deepcopy(plain), weight_bits=32, activation_bits=32)
    assert isinstance(made.attention, QuantMultiheadAttention)
    return plain.attention, made.attention


MASKS = {
    "none": {},
    "causal": {"attn_mask": torch.ones(5, 5).triu(1).bool(), "is_causal": True},
    "float": {"attn_mask": torch.randn(5, 5)},
    "per head": {"attn_mask": torch.randn(3 * 2, 5, 5)},
    "padding": {"key_padding_mask": torch.arange(5) >= torch.tensor([[3], [5], [4]])},
    "both": {
        "attn_mask": torch.ones(5, 5).triu(1).bool(),
        "key_padding_mask": torch.arange(5) >= torch.tensor([[3], [5], [4]]),
    },
}


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("needed", ["no", "mean", "all"])
@pytest.mark.parametrize("mask", MASKS)
def test_results_are_those_of_torch(mask, needed, batch_first):
    options = {"need_weights": needed != "no", "average_attn_weights": needed != "all"}
    for bias in (True, False):
        theirs, ours = attentions(batch_first=batch_first, bias=bias)
        x = torch.randn(3, 5, 8) if batch_first else torch.randn(5, 3, 8)
        for given in ((x, x, x), (x, x.flip(0), x.flip(0)), (x, x + 1, x - 1)):
            expected, found = theirs(*given, **MASKS[mask], **options), None
            found = ours(*given, **MASKS[mask], **options)
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_single_sequences_and_hints_are_taken_as_torch_takes_them():
    theirs, ours = attentions()
    x = torch.randn(5, 8)
    torch.testing.assert_close(ours(x, x, x), theirs(x, x, x))
    with pytest.raises(UserError, match="give attn_mask"):
        ours(x, x, x, is_causal=True)


def test_dropout_is_that_of_training():
    _, ours = attentions(dropout=0.5, batch_first=True)
    x = torch.randn(2, 5, 8)
    for needed in (True, False):
        assert not torch.equal(*(ours(x, x, x, need_weights=needed)[0] for _ in range(2)))
    ours.eval()
    torch.testing.assert_close(ours(x, x, x)[0], ours(x, x, x, need_weights=False)[0])


@pytest.mark.parametrize("quantizer", ["lsq-plus", "lsq", "uniform", "alignq", "pact"])
def test_both_projections_are_quantized_trained_packed_and_loaded(quantizer):
    x = torch.randn(6, 5, 3)
    model = quantize_model(Net(batch_first=True), weight_bits=3, quantizer=quantizer)
    assert set(quantized_layers(model)) == {"stem", "attention", "attention.out_proj"}
    model(x).square().sum().backward()
    assert model.attention.in_proj_weight.grad.abs().sum() > 0
    assert len(model.attention.quantized_weight()[0].unique()) <= 8
    expected = model.eval()(x)
    packed = pack_model(model)
    assert set(packed["layers"]) == {
        "stem.weight",
        "attention.in_proj_weight",
        "attention.out_proj.weight",
    }
    fresh = quantize_model(Net(batch_first=True), weight_bits=3, quantizer=quantizer).eval()
    assert torch.equal(load_packed(fresh, packed)(x), expected)
    plain = dequantize_model(model)
    assert [type(m) for m in plain.modules()] == [type(m) for m in Net().modules()]


def test_tables_and_costs_have_its_projections():
    x = torch.randn(2, 5, 3)
    for model, bits in ((Net(batch_first=True), 32), (quantize_model(Net(batch_first=True)), 4)):
        rows = {row["layer"]: row for row in layer_table(model)}
        assert rows["attention"]["bits"] == 192 * bits
        assert rows["attention.out_proj"]["bits"] == 64 * bits
        counts = multiply_accumulates(model, x)
        assert counts["attention"] == 5 * 192 and counts["attention.out_proj"] == 5 * 64


def test_torchs_encoder_never_takes_its_fused_path():
    encoder = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2, enable_nested_tensor=False
    )
    model = nn.Sequential(nn.Linear(3, 8), encoder, nn.Flatten(), nn.Linear(40, 2))
    x = torch.randn(4, 5, 3)
    quantize_model(model, weight_bits=2, example=x)
    names = set(quantized_layers(model))
    assert {"1.layers.0.self_attn", "1.layers.0.self_attn.out_proj", "1.layers.0.linear1"} <= names
    model.train()(x)
    model.eval()
    with torch.no_grad():  # where torch would compute with the full-precision weights
        model(x)
        before = model(x)
        for layer in encoder.layers:
            layer.self_attn.in_proj_weight.mul_(1.0001)  # within the cells of the grid
            layer.linear1.weight.mul_(1.0001)
        assert torch.equal(model(x), before)


def test_what_would_have_to_be_normalized_together_is_refused():
    class Cross(Net):
        def forward(self, x):
            h = self.stem(x)
            return self.head(self.attention(h, h.flip(1), h)[0].mean(1))

    model = quantize_model(Cross(batch_first=True), quantizer="alignq")
    with pytest.raises(UserError, match="different tensors.*skip"):
        model(torch.randn(2, 5, 3))
    with pytest.raises(UserError, match="of another size than queries.*skip="):
        quantize_model(nn.Sequential(nn.Linear(2, 2), nn.MultiheadAttention(4, 1, kdim=3)))
