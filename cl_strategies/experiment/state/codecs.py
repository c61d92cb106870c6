"""The types that a state may consist of, beyond tensors and plain data.

In the order in which they are tried. Everything else is an error that names the attribute.
"""

from __future__ import annotations

import random
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cl_strategies.errors import UserError
from cl_strategies.experiment.state.objects import OBJECT_CODECS
from cl_strategies.experiment.state.walker import LEFT_OUT, StateCodec, Walker

_DICTIONARIES = {"dict": dict, "OrderedDict": OrderedDict, "Counter": Counter}
_FACTORIES = {kind.__name__: kind for kind in (dict, list, set, int, float)}
_NUMBERS = "biufc"  # kinds of dtypes
_BIT_GENERATORS = ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")


def _encode_tensor(tensor: Tensor, walker: Walker, path: str) -> dict[str, Any]:
    key = walker.shared(tensor, path)
    if key is not None:
        return _encode_view(tensor, walker.base(key), key, path)
    walker.count(tensor)
    return {
        "data": tensor.detach().clone().cpu(),
        "number": walker.number_of(tensor),
        "on_device": tensor.device.type != "cpu",
        "parameter": isinstance(tensor, nn.Parameter),
        "requires_grad": tensor.requires_grad,
    }


def _encode_view(tensor: Tensor, base: Tensor, key: list[Any], path: str) -> dict[str, Any]:
    """Return a tensor in the memory of another, which stays one with it.

    :raises UserError: if it reaches beyond the other one, which is all that is captured.
    """
    if tensor is base:
        return {"of": key, "same": True}
    offset = tensor.storage_offset() - base.storage_offset()
    last = offset + sum(
        (n - 1) * step for n, step in zip(tensor.shape, tensor.stride(), strict=True)
    )
    fits = base.is_contiguous() and base.dtype == tensor.dtype
    if not fits or offset < 0 or last >= base.numel():
        raise UserError(
            f"{path} shares memory with another tensor of the state, of which it is no part: "
            "give one of them memory of its own with clone()"
        )
    return {
        "of": key,
        "same": False,
        "size": list(tensor.shape),
        "stride": list(tensor.stride()),
        "offset": offset,
        "requires_grad": tensor.requires_grad and tensor.is_leaf,
    }


def _decode_tensor(node: dict[str, Any], walker: Walker, live: Any) -> Tensor:
    if "of" in node:
        return _decode_view(node, walker.base(node["of"]))
    tensor = node["data"].detach().clone()
    tensor = tensor.to(walker.strategy.device) if node["on_device"] else tensor.cpu()
    if node["parameter"]:
        tensor = nn.Parameter(tensor, requires_grad=node["requires_grad"])
    else:
        tensor.requires_grad_(node["requires_grad"])
    if node["number"] is not None:
        walker.tensors[node["number"]] = tensor
    return tensor


def _decode_view(node: dict[str, Any], base: Tensor) -> Tensor:
    if node["same"]:
        return base
    offset, size, stride = node["offset"], node["size"], node["stride"]
    if (
        offset < 0
        or any(n < 0 for n in (*size, *stride))
        or (
            offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
            >= base.numel()
        )
    ):
        raise UserError("the state holds a part of a tensor that reaches beyond it")
    view = base.detach().as_strided(size, stride, base.storage_offset() + offset)
    return view.requires_grad_(node["requires_grad"])


def _encode_dictionary(values: Any, walker: Walker, path: str) -> dict[str, Any]:
    paths = [f"{path}[{key!r}]" for key in values]
    node = {
        "type": type(values).__name__,
        "keys": walker.encode(list(values), f"{path}.keys()"),
        "values": walker.encode_items(list(values.values()), paths),
    }
    if isinstance(values, defaultdict):
        node["factory"] = getattr(values.default_factory, "__name__", "")
    return node


def _decode_dictionary(node: dict[str, Any], walker: Walker, live: Any) -> Any:
    if node["values"] == LEFT_OUT:
        return live
    keys = walker.decode(node["keys"])
    lives = [live.get(key) if isinstance(live, dict) else None for key in keys]
    values = [walker.decode(item, old) for item, old in zip(node["values"], lives, strict=True)]
    items = zip(keys, values, strict=True)
    if node["type"] == "defaultdict":
        own = live.default_factory if isinstance(live, defaultdict) else None
        return defaultdict(own or _FACTORIES.get(node["factory"]), items)
    return _DICTIONARIES[node["type"]](dict(items))


def _encode_set(values: Any, walker: Walker, path: str) -> dict[str, Any]:
    # Sorted, because a set of sorted values is made the same way by whoever makes it so.
    try:
        ordered = sorted(values)
    except TypeError:
        ordered = list(values)
    return {"frozen": isinstance(values, frozenset), "items": walker.encode(ordered, path)}


def _decode_set(node: dict[str, Any], walker: Walker, live: Any) -> Any:
    return (frozenset if node["frozen"] else set)(walker.decode(node["items"]))


def _encode_deque(values: deque[Any], walker: Walker, path: str) -> dict[str, Any]:
    return {"items": walker.encode(list(values), path), "maxlen": values.maxlen}


def _decode_deque(node: dict[str, Any], walker: Walker, live: Any) -> deque[Any]:
    return deque(walker.decode(node["items"]), maxlen=node["maxlen"])


def _is_numeric_array(value: Any) -> bool:
    return isinstance(value, np.ndarray | np.generic) and value.dtype.kind in _NUMBERS


def _encode_array(value: Any, walker: Walker, path: str) -> dict[str, Any]:
    array = np.array(value)
    walker.bytes += array.nbytes
    raw = np.frombuffer(array.tobytes(), dtype=np.uint8).copy()
    return {
        "data": torch.from_numpy(raw),
        "dtype": array.dtype.str,
        "shape": list(array.shape),
        "scalar": isinstance(value, np.generic),
    }


def _decode_array(node: dict[str, Any], walker: Walker, live: Any) -> Any:
    raw, kind = node["data"].cpu().numpy().tobytes(), np.dtype(node["dtype"])
    if kind.kind not in _NUMBERS:
        raise UserError(f"the state holds an array of {kind}, which is no number")
    array = np.frombuffer(raw, dtype=kind).reshape(node["shape"]).copy()
    return array[()] if node["scalar"] else array


def _decode_torch_generator(node: dict[str, Any], walker: Walker, live: Any) -> torch.Generator:
    generator = live or torch.Generator()
    generator.set_state(node["state"].cpu())
    return generator


def _encode_numpy_generator(
    value: np.random.Generator, walker: Walker, path: str
) -> dict[str, Any]:
    return {"state": _uncounted(value.bit_generator.state, walker, path)}


def _decode_numpy_generator(node: dict[str, Any], walker: Walker, live: Any) -> np.random.Generator:
    state = walker.decode(node["state"])
    name = state["bit_generator"]
    if live is None and name in _BIT_GENERATORS:
        live = np.random.Generator(getattr(np.random, name)())
    live.bit_generator.state = state
    return live


def _encode_numpy_state(value: np.random.RandomState, walker: Walker, path: str) -> dict[str, Any]:
    return {"state": _uncounted(value.get_state(legacy=False), walker, path)}


def _decode_numpy_state(node: dict[str, Any], walker: Walker, live: Any) -> np.random.RandomState:
    generator = live or np.random.RandomState()
    generator.set_state(walker.decode(node["state"]))
    return generator


def _decode_python_generator(node: dict[str, Any], walker: Walker, live: Any) -> random.Random:
    generator = live or random.Random()
    generator.setstate(node["state"])
    return generator


def _uncounted(value: Any, walker: Walker, path: str) -> Any:
    before = walker.bytes
    node = walker.encode(value, path)
    walker.bytes = before
    return node


def _is(*kinds: type) -> Callable[[Any], bool]:
    """Accepts values of exactly these types: a subclass may hold more."""
    return lambda value: type(value) in kinds


CODECS: tuple[StateCodec, ...] = (
    StateCodec("tensor", _is(Tensor, nn.Parameter), _encode_tensor, _decode_tensor),
    StateCodec(
        "dictionary",
        _is(dict, OrderedDict, Counter, defaultdict),
        _encode_dictionary,
        _decode_dictionary,
    ),
    StateCodec("set", _is(set, frozenset), _encode_set, _decode_set),
    StateCodec("deque", _is(deque), _encode_deque, _decode_deque),
    StateCodec("array", _is_numeric_array, _encode_array, _decode_array),
    StateCodec(
        "range",
        _is(range),
        lambda value, walker, path: {"bounds": [value.start, value.stop, value.step]},
        lambda node, walker, live: range(*node["bounds"]),
    ),
    StateCodec(
        "torch_generator",
        _is(torch.Generator),
        lambda value, walker, path: {"state": value.get_state()},
        _decode_torch_generator,
    ),
    StateCodec(
        "numpy_generator",
        _is(np.random.Generator),
        _encode_numpy_generator,
        _decode_numpy_generator,
    ),
    StateCodec("numpy_state", _is(np.random.RandomState), _encode_numpy_state, _decode_numpy_state),
    StateCodec(
        "python_generator",
        _is(random.Random),
        lambda value, walker, path: {"state": value.getstate()},
        _decode_python_generator,
    ),
    *OBJECT_CODECS,
)
