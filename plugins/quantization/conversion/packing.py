"""Integer weights in as many bits as they need, and models in that form."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cl_strategies.errors import UserError
from cl_strategies.io.atomic import atomic_write
from cl_strategies.io.tensors import load_stored
from cl_strategies.plugins.quantization.conversion.bypassed_layers import check_called
from cl_strategies.plugins.quantization.conversion.layers import quantized_layers, weight_name
from cl_strategies.plugins.quantization.functional.rounding import (
    FULL_PRECISION,
    MAX_BITS,
    check_bits,
)
from cl_strategies.plugins.quantization.layers.quantized_layer import QuantizedLayer
from cl_strategies.plugins.quantization.quantizers.base import Encoded

_FORMAT = 1
_LONGEST_INDEX = 2**26  # bytes; unpacked from far fewer, if someone wishes so
_DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
        *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
    )
}
_HELD_AS_TEXT = ".format"


def pack(codes: Tensor, bits: int) -> Tensor:
    """Lay integer codes end to end, ``bits`` each, low bits first.

    :param codes: integers ``0 ... 2**bits - 1``, any shape.
    :param bits: bit-width from 1 to 8.
    :returns: uint8, ``ceil(codes.numel() * bits / 8)`` bytes; :func:`unpack` restores the codes.
    :raises UserError: for other bits, or codes that do not fit.

    >>> pack(torch.tensor([1, 2, 3, 0]), 2)
    tensor([57], dtype=torch.uint8)
    """
    _check_packable(bits)
    if codes.is_floating_point() or codes.is_complex():
        raise UserError(f"codes have the type {codes.dtype}: give integers")
    flat = codes.flatten()
    low, high = (int(flat.amin()), int(flat.amax())) if flat.numel() else (0, 0)
    if low < 0 or high >= 2**bits:
        raise UserError(f"codes go from {low} to {high}: {bits} bits hold 0 to {2**bits - 1}")
    places = torch.arange(bits, device=flat.device)
    stream = ((flat[:, None].int() >> places) & 1).flatten()
    stream = nn.functional.pad(stream, (0, -len(stream) % 8)).view(-1, 8)
    return (stream << torch.arange(8, device=flat.device)).sum(1).to(torch.uint8)


def unpack(packed: Tensor, bits: int, shape: Any) -> Tensor:
    """Return the codes that :func:`pack` laid end to end.

    :param packed: uint8 bytes.
    :param bits: bit-width from 1 to 8, as packed.
    :param shape: shape of the codes, or their number.
    :returns: uint8 codes of that shape.
    :raises UserError: if there are not as many bytes as they need.
    """
    _check_packable(bits)
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    count = math.prod(shape)
    if packed.dtype != torch.uint8 or packed.numel() != -(-count * bits // 8):
        raise UserError(
            f"{count} codes of {bits} bits take {-(-count * bits // 8)} bytes, and there are "
            f"{packed.numel()} of {packed.dtype}: give the bits and the shape used for packing"
        )
    stream = (packed.flatten()[:, None].int() >> torch.arange(8, device=packed.device)) & 1
    stream = stream.flatten()[: count * bits].view(-1, bits)
    codes = (stream << torch.arange(bits, device=packed.device)).sum(1)
    return codes.to(torch.uint8).view(shape)


def _check_packable(bits: int) -> None:
    if check_bits(bits) == FULL_PRECISION:
        raise UserError(f"{bits} bits are not packed: give 1 to {MAX_BITS}")


def pack_model(model: nn.Module) -> dict[str, Any]:
    """Return a quantized model as plain data: packed weights, and the rest of its state.

    :param model: a network quantized by
        :func:`~cl_strategies.plugins.quantization.conversion.convert.quantize_model`.
    :returns: ``"layers"``: by the name of the weight, its ``packed`` bytes, ``bits``, ``shape``
        (output channels first) and the ``constants`` of decoding; ``"state"``: every other tensor
        of the state; ``"shared"``, if there are any: the further names of what is in one of the
        two, which takes no bytes.
    :raises UserError: if nothing is quantized, if levels need more bits than the quantizer has, or
        if the network has been seen to use a weight without calling its layer.
    """
    check_called(model)
    layers: dict[str, Any] = {}
    for name, layer in _packed_layers(model).items():
        encoded, bits = layer.encode(), layer.weight_quantizer.bits
        layers[name] = {
            "packed": pack(encoded.codes, bits).cpu(),
            "bits": bits,
            "shape": list(encoded.codes.shape),
            "constants": {key: value.cpu() for key, value in encoded.constants.items()},
        }
    state = model.state_dict()
    shared = {name: first for name, first in _shared_names(model).items() if name in state}
    rest = {
        key: value.detach().cpu()
        for key, value in state.items()
        if key not in layers and key not in shared
    }
    packed = {"format": _FORMAT, "layers": layers, "state": rest}
    return packed | ({"shared": shared} if shared else {})


def _shared_names(model: nn.Module) -> dict[str, str]:
    """Return later names of tensors of the state -> the first one, of those that have several.

    A quantized weight that a layer at full precision has as well, or one with other bits, stays
    under both: each is stored in its own form.
    """
    quantizers = {
        weight_name(name, layer): id(layer.weight_quantizer)
        for name, module in model.named_modules(remove_duplicate=False)
        if (layer := module if isinstance(module, QuantizedLayer) else None) is not None
        and layer.weight_quantizer.bits != FULL_PRECISION
    }
    first: dict[tuple[int, int | None], str] = {}
    shared = {}
    parameters = model.named_parameters(remove_duplicate=False)
    for name, tensor in [*parameters, *model.named_buffers(remove_duplicate=False)]:
        key = id(tensor), quantizers.get(name)
        if first.setdefault(key, name) != name:
            shared[name] = first[key]
    return shared


def _packed_layers(model: nn.Module) -> dict[str, QuantizedLayer]:
    layers = quantized_layers(model)
    if not layers:
        raise UserError("no layer of the model is quantized: call quantize_model first")
    found, seen = {}, set()
    for name, layer in layers.items():
        key = id(layer.weight), id(layer.weight_quantizer)
        if layer.weight_quantizer.bits != FULL_PRECISION and key not in seen:
            found[weight_name(name, layer)] = layer
        seen.add(key)
    return found


def load_packed(model: nn.Module, packed: Mapping[str, Any]) -> nn.Module:
    """Give a model, quantized in the same way, the weights of :func:`pack_model`.

    It then computes exactly as the packed one did, in evaluation only: the full-precision weights
    that training needs were not packed.

    :returns: ``model``.
    :raises UserError: if the model is another, or quantized in another way.
    """
    layers = _packed_layers(model)
    if set(layers) != set(packed["layers"]):
        differ = sorted(set(layers) ^ set(packed["layers"]))
        raise UserError(
            f"the packed model and this one do not quantize the same layers ({differ[0]}, ...): "
            "build and quantize the model as the packed one was"
        )
    weights = {}
    for name, entry in packed["layers"].items():
        codes = unpack(entry["packed"], entry["bits"], entry["shape"])
        decoded = layers[name].decode(Encoded(codes, entry["constants"]))
        weights[name] = decoded.to(layers[name].weight)
    shared = {id(layer.weight): name for name, layer in layers.items()}
    full = {  # of weights that a layer at full precision, as an embedding, has as well
        shared[id(parameter)]: packed["state"][key]
        for key, parameter in model.named_parameters(remove_duplicate=False)
        if key not in layers and key in packed["state"] and id(parameter) in shared
    }
    state = {**packed["state"], **weights, **full}
    again = {name: state[first] for name, first in packed.get("shared", {}).items()}
    model.load_state_dict(state | again)
    quantized = {id(layer.weight_quantizer): weights[name] for name, layer in layers.items()}
    for layer in quantized_layers(model).values():
        layer.stand_in = quantized.get(id(layer.weight_quantizer))
        if layer.folding is not None and layer.stand_in is not None:
            layer.weight.data.copy_(layer.unfolded(layer.stand_in))
    return model


def packed_bytes(packed: Mapping[str, Any]) -> int:
    """Count the bytes of all tensors in a packed model."""
    tensors = [*packed["state"].values()]
    for entry in packed["layers"].values():
        tensors += [entry["packed"], *entry["constants"].values()]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def save_packed(packed: Mapping[str, Any], path: str | Path) -> int:
    """Write a packed model to a file of little more than its bytes, atomically.

    All tensors stand in one blob behind a compressed index: a file with an entry for each of the
    many small tensors of a network would spend as much on the entries as on 4-bit weights.

    :returns: the size of the file in bytes.
    """
    blob = bytearray()

    def put(tensor: Tensor) -> list[Any]:
        data = tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        blob.extend(data)
        return [str(tensor.dtype).removeprefix("torch."), list(tensor.shape), len(data)]

    index: dict[str, Any] = {"layers": {}, "state": {}, "text": {}}
    index |= {key: packed[key] for key in ("shared",) if key in packed}
    for name, entry in packed["layers"].items():
        constants = {key: put(value) for key, value in entry["constants"].items()}
        index["layers"][name] = {**entry, "packed": put(entry["packed"]), "constants": constants}
    for name, tensor in packed["state"].items():
        if name.endswith(_HELD_AS_TEXT):
            index["text"][name] = bytes(tensor.tolist()).decode()
        else:
            index["state"][name] = put(tensor)
    header = zlib.compress(json.dumps(index).encode(), 9)
    with atomic_write(Path(path)) as file:
        torch.save(
            {
                "format": _FORMAT,
                "index": torch.frombuffer(bytearray(header), dtype=torch.uint8),
                "data": torch.frombuffer(blob or bytearray(1), dtype=torch.uint8),
            },
            file,
        )
    return Path(path).stat().st_size


def read_packed(path: str | Path) -> dict[str, Any]:
    """Read what :func:`save_packed` wrote; no code in the file is ever run.

    :raises UserError: if it is not such a file.
    """
    try:
        return _read(Path(path))
    except Exception as error:  # a broken file raises almost anything
        what = str(error) or type(error).__name__
        raise UserError(f"{path} is not a packed model ({what})") from error


def _read(path: Path) -> dict[str, Any]:
    content = load_stored(path)
    unpacker = zlib.decompressobj()
    index = json.loads(unpacker.decompress(content["index"].numpy().tobytes(), _LONGEST_INDEX))
    data = content["data"]
    place = 0

    def take(description: list[Any]) -> Tensor:
        nonlocal place
        kind, shape, size = description
        part = data[place : place + size].clone()
        place += size
        return part.view(_DTYPES[kind]).view(shape)

    layers = {}
    for name, entry in index["layers"].items():
        constants = {key: take(value) for key, value in entry["constants"].items()}
        layers[name] = {**entry, "constants": constants, "packed": take(entry["packed"])}
    state = {name: take(value) for name, value in index["state"].items()}
    for name, text in index["text"].items():
        state[name] = torch.tensor(list(text.encode()), dtype=torch.uint8)
    found = {"format": content["format"], "layers": layers, "state": state}
    return found | ({"shared": dict(index["shared"])} if "shared" in index else {})
