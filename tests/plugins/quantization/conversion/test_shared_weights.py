"""A weight that several layers have is quantized, counted and stored once."""

import copy

import torch
from torch import nn

from cl_strategies.plugins.quantization.conversion.convert import quantize_model
from cl_strategies.plugins.quantization.conversion.layers import learned_parameters
from cl_strategies.plugins.quantization.conversion.measures import layer_table
from cl_strategies.plugins.quantization.conversion.model_size import storage
from cl_strategies.plugins.quantization.conversion.packing import (
    load_packed,
    pack_model,
    packed_bytes,
    read_packed,
    save_packed,
)


def network(tied, same_module=False):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(6, 16),
        nn.ReLU(),
        nn.Linear(16, 16),
        nn.ReLU(),
        nn.Linear(16, 16),
        nn.Linear(16, 2),
    )
    if tied:
        model[4].weight = model[2].weight
    if same_module:
        model[4] = model[2]
    return model


def trained(model, **options):
    quantize_model(model, quantizer="lsq", **options)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        model(torch.randn(8, 6)).square().sum().backward()
        optimizer.step()
    return model.eval()


def test_tied_layers_have_one_quantizer_and_one_weight():
    model = trained(network(tied=True))
    assert model[2].weight_quantizer is model[4].weight_quantizer
    assert model[2].input_quantizer is not model[4].input_quantizer
    assert torch.equal(model[2].quantized_weight(), model[4].quantized_weight())
    assert len(list(learned_parameters(model))) == 4  # two of weights, two of inputs
    rows = layer_table(model)
    assert [row["parameters"] for row in rows] == [96, 256, 0, 32]
    assert sum(row["bits"] for row in rows) == 4 * (96 + 256) + 32 * 32


def test_they_are_packed_once_and_loaded_into_both(tmp_path):
    model, x = trained(network(tied=True)), torch.randn(5, 6)
    packed = pack_model(model)
    assert set(packed["layers"]) == {"0.weight", "2.weight"}
    assert packed["shared"]["4.weight"] == "2.weight"
    apart = packed_bytes(pack_model(trained(network(tied=False))))
    assert packed_bytes(packed) <= apart - 256 // 2
    assert storage(model)["packed_bytes"] == packed_bytes(packed)
    save_packed(packed, tmp_path / "model.pt")
    fresh = quantize_model(network(tied=True), quantizer="lsq").eval()
    load_packed(fresh, read_packed(tmp_path / "model.pt"))
    assert torch.equal(fresh(x), model(x))
    assert fresh[4].weight is fresh[2].weight


def test_a_module_under_two_names_is_stored_once():
    model, x = trained(network(tied=False, same_module=True)), torch.randn(5, 6)
    packed = pack_model(model)
    assert not any(key.startswith("4.") for key in packed["state"])
    fresh = quantize_model(network(tied=False, same_module=True), quantizer="lsq").eval()
    assert torch.equal(load_packed(fresh, packed)(x), model(x))


def test_other_bits_are_another_weight():
    model, x = network(tied=False), torch.randn(5, 6)
    model[5] = nn.Linear(16, 16)
    model[5].weight = model[2].weight
    options = {"last_bits": 8}
    twin = copy.deepcopy(model)
    trained(model, **options)
    assert [row["parameters"] for row in layer_table(model)] == [96, 256, 256, 256]
    packed = pack_model(model)
    assert {entry["bits"] for entry in packed["layers"].values()} == {4, 8}
    load_packed(quantize_model(twin, quantizer="lsq", **options).eval(), packed)
    assert torch.equal(twin(x), model(x))


def test_a_weight_that_stays_at_full_precision_elsewhere_is_counted_as_that():
    model = trained(network(tied=True), skip=["4"])
    assert [row["bits"] for row in layer_table(model)] == [4 * 96, 4 * 256, 32 * 256, 32 * 32]
    packed, x = pack_model(model), torch.randn(5, 6)
    assert packed["state"]["4.weight"].numel() == 256
    fresh = quantize_model(network(tied=True), quantizer="lsq", skip=["4"]).eval()
    assert torch.equal(load_packed(fresh, packed)(x), model(x))
