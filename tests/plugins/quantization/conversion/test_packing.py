"""Packed weights: bit-exact, as small as promised, the same predictions."""

import copy
import json
import zlib

import pytest
import torch
from torch import nn

from cl_strategies.errors import UserError
from cl_strategies.plugins.quantization.conversion.convert import quantize_model
from cl_strategies.plugins.quantization.conversion.packing import (
    load_packed,
    pack,
    pack_model,
    packed_bytes,
    read_packed,
    save_packed,
    unpack,
)
from cl_strategies.plugins.quantization.quantizers.alignq import AlignQScheme
from cl_strategies.plugins.quantization.quantizers.scheme import SCHEMES


@pytest.mark.parametrize("bits", range(1, 9))
def test_packing_is_exact_and_takes_no_bit_more(bits):
    for shape in [(0,), (1,), (7,), (8,), (3, 5, 2, 2), (257,)]:
        codes = torch.randint(0, 2**bits, shape, dtype=torch.uint8)
        packed = pack(codes, bits)
        assert packed.dtype == torch.uint8
        assert packed.numel() == -(-codes.numel() * bits // 8)
        assert torch.equal(unpack(packed, bits, shape), codes)
    assert torch.equal(unpack(pack(codes.long(), bits), bits, 257), codes)


def test_low_bits_come_first():
    assert pack(torch.tensor([1, 0, 1, 1, 0, 0, 0, 1]), 1).tolist() == [0b10001101]
    assert pack(torch.tensor([5, 2]), 3).tolist() == [0b010101]
    assert pack(torch.tensor([0xA, 0x3]), 4).tolist() == [0x3A]


def test_codes_that_do_not_fit_are_refused():
    with pytest.raises(UserError, match="3 bits hold 0 to 7"):
        pack(torch.tensor([1, 8]), 3)
    with pytest.raises(UserError, match="from -1"):
        pack(torch.tensor([-1]), 8)
    with pytest.raises(UserError, match="give integers"):
        pack(torch.tensor([1.0]), 4)
    with pytest.raises(UserError, match="32 bits are not packed"):
        pack(torch.tensor([1]), 32)
    with pytest.raises(UserError, match="take 2 bytes, and there are 1"):
        unpack(torch.zeros(1, dtype=torch.uint8), 4, (3,))


def network():
    return nn.Sequential(
        nn.Conv2d(1, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64, 12),
        nn.ReLU(),
        nn.Linear(12, 3),
    )


def quantized(name, bits=4):
    model = quantize_model(network(), weight_bits=bits, activation_bits=bits, quantizer=name)
    for _ in range(3):
        model(torch.randn(8, 1, 6, 6))
    return model.eval()


@pytest.mark.parametrize("bits", [1, 3, 8])
@pytest.mark.parametrize("name", SCHEMES)
def test_a_packed_model_predicts_exactly_as_before(name, bits, tmp_path):
    model = quantized(name, bits)
    packed = pack_model(model)
    save_packed(packed, tmp_path / "model.pt")
    fresh = quantize_model(network(), weight_bits=bits, activation_bits=bits, quantizer=name)
    load_packed(fresh.eval(), read_packed(tmp_path / "model.pt"))
    x = torch.randn(5, 1, 6, 6)
    assert torch.equal(fresh(x), model(x))


def test_a_packed_model_has_the_bytes_that_its_bits_ask_for(tmp_path):
    model = quantized("alignq")
    plain = sum(t.numel() * t.element_size() for t in network().state_dict().values())
    packed = pack_model(model)
    weights = {name: entry["packed"].numel() for name, entry in packed["layers"].items()}
    assert weights == {"0.weight": 36, "3.weight": 576, "7.weight": 384}
    rest = plain - 4 * (72 + 1152 + 768)
    assert 0 <= packed_bytes(packed) - sum(weights.values()) - rest < 600  # ranges and formats
    size = save_packed(packed, tmp_path / "model.pt")
    assert size == (tmp_path / "model.pt").stat().st_size


def test_a_four_bit_network_takes_a_seventh_of_its_file(tmp_path):
    plain = nn.Sequential(
        *[nn.Sequential(nn.Conv2d(64, 64, 3), nn.BatchNorm2d(64)) for _ in "abcdef"]
    )
    torch.save(plain.state_dict(), tmp_path / "plain.pt")
    model = quantize_model(plain, quantizer="lsq")
    size = save_packed(pack_model(model), tmp_path / "packed.pt")
    assert size <= (tmp_path / "plain.pt").stat().st_size / 7


def test_a_packed_model_is_not_trained():
    model = quantized("lsq")
    fresh = load_packed(quantize_model(network()), pack_model(model))
    with pytest.raises(UserError, match=r"call\s+eval"):
        fresh.train()(torch.randn(2, 1, 6, 6))


def test_a_packed_model_fits_only_its_like():
    packed = pack_model(quantized("lsq"))
    with pytest.raises(UserError, match="same layers"):
        load_packed(quantize_model(network(), skip=["0"]), packed)
    with pytest.raises(UserError, match="lsq weight 4 bits.*lsq weight 3 bits"):
        load_packed(quantize_model(network(), weight_bits=3), packed)


def test_what_cannot_be_packed_is_refused(tmp_path):
    with pytest.raises(UserError, match="no layer of the model is quantized"):
        pack_model(network())
    model = quantize_model(network(), quantizer=AlignQScheme(levels="released"))
    with pytest.raises(UserError, match="more than 16 levels"):
        pack_model(model)
    (tmp_path / "other.pt").write_bytes(b"no model")
    with pytest.raises(UserError, match="is not a packed model"):
        read_packed(tmp_path / "other.pt")


class Malicious:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (open, (str(self.target), "w"))


def changed_index(content, **changes):
    index = json.loads(zlib.decompress(content["index"].numpy().tobytes()))
    raw = zlib.compress(json.dumps({**index, **changes}).encode())
    return {**content, "index": torch.frombuffer(bytearray(raw), dtype=torch.uint8)}


@pytest.mark.parametrize(
    "attack",
    [
        lambda content, trap: Malicious(trap),
        lambda content, trap: {**content, "data": Malicious(trap)},
        lambda content, trap: {**content, "index": torch.zeros(9, dtype=torch.uint8)},
        lambda content, trap: changed_index(content, state={"w": ["load", [1], 1]}),
        lambda content, trap: changed_index(content, state={"w": ["float32", [2**40], 4]}),
        lambda content, trap: changed_index(content, layers={"w": 3}),
        lambda content, trap: changed_index(content, text={"w": 3}),
    ],
)
def test_a_hostile_file_is_refused_and_runs_no_code(attack, tmp_path):
    path, trap = tmp_path / "model.pt", tmp_path / "ran"
    save_packed(pack_model(quantized("uniform")), path)
    content = torch.load(path, weights_only=True)
    torch.save(attack(content, trap), path)
    with pytest.raises(UserError, match="is not a packed model"):
        read_packed(path)
    assert not trap.exists()


def test_an_index_unpacks_to_its_limit_only(tmp_path, monkeypatch):
    path = tmp_path / "model.pt"
    save_packed(pack_model(quantized("uniform")), path)
    monkeypatch.setattr("cl_strategies.plugins.quantization.conversion.packing._LONGEST_INDEX", 100)
    with pytest.raises(UserError, match="is not a packed model"):
        read_packed(path)


def test_packing_leaves_the_model_alone():
    model = quantized("lifequant")
    before = copy.deepcopy(model.state_dict())
    pack_model(model)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
