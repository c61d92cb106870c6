"""Walking through the attributes of plugins, to capture them and to put them back."""

from __future__ import annotations

import functools
import logging
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from avalanche.benchmarks.scenarios import CLScenario, CLStream
from avalanche.benchmarks.utils.data_loader import MultiDatasetDataLoader
from avalanche.evaluation import PluginMetric
from avalanche.logging import BaseLogger
from avalanche.training.plugins import EvaluationPlugin
from torch import nn
from torch.utils.data import DataLoader

from cl_strategies.errors import UserError
from cl_strategies.experiment.state_data import SamplePool

#: Left out of a state: code, output, and what is made anew for each experience.
TRANSIENT = (
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    types.ModuleType,
    functools.partial,
    type,
    logging.Logger,
    BaseLogger,
    EvaluationPlugin,
    PluginMetric,
    DataLoader,
    MultiDatasetDataLoader,
    Iterator,
    CLStream,
    CLScenario,
)

PLAIN = frozenset(
    {
        type(None),
        bool,
        int,
        float,
        complex,
        str,
        bytes,
        torch.dtype,
        torch.device,
        torch.Size,
    }
)

#: Stands for a transient value: the restored strategy keeps its own.
LEFT_OUT = {"kind": "transient"}


def is_transient(value: Any) -> bool:
    """Whether ``value`` is left out of a state."""
    return isinstance(value, TRANSIENT)


@dataclass(frozen=True)
class Codec:
    """How values of some types become tensors and plain data, and back.

    :param kind: tag of the encoded value.
    :param accepts: whether a value is this codec's.
    :param encode: ``(value, walker, path) -> dict`` of tensors and plain data.
    :param decode: ``(node, walker, live) -> value``; ``live`` is what the freshly built strategy
        has in this place, or ``None``.
    """

    kind: str
    accepts: Callable[[Any], bool]
    encode: Callable[[Any, Walker, str], dict[str, Any]]
    decode: Callable[[dict[str, Any], Walker, Any], Any]


class Walker:
    """One pass over a strategy.

    :param strategy: the strategy.
    :param codecs: tried in this order.
    :param experiences: train experiences from whose data stored samples are taken back.
    """

    def __init__(
        self, strategy: Any, codecs: Sequence[Codec], experiences: Sequence[Any] = ()
    ) -> None:
        self.strategy = strategy
        self.codecs = codecs
        self.samples = SamplePool(experiences)
        self.bytes = 0  # of the tensors and arrays met
        self.datasets: list[Any] = []  # the data sets of exemplars met
        self.numbers: dict[int, int] = {}  # id of an object met -> its number in the state
        self.objects: dict[int, Any] = {}  # number -> object, which also keeps the ids valid
        self.refresh_landmarks()

    def refresh_landmarks(self) -> None:
        """Know the parts of the strategy that others may refer to."""
        strategy = self.strategy
        parts: dict[tuple[str, str | int], Any] = {
            ("strategy", ""): strategy,
            ("optimizer", ""): strategy.optimizer,
        }
        parts |= {("module", name): part for name, part in strategy.model.named_modules()}
        parts |= {("parameter", name): part for name, part in strategy.model.named_parameters()}
        parts |= {("plugin", index): part for index, part in enumerate(strategy.plugins)}
        self.landmarks = parts
        self._landmark_of = {id(part): key for key, part in parts.items()}
        # Kept, because the memory of what a module makes for its state only would be used again.
        self._weights = strategy.model.state_dict()
        self._own = {_storage(value) for value in self._weights.values()}

    def encode(self, value: Any, path: str) -> Any:
        """``value`` as tensors and plain data.

        :param path: where it stands, for the error.
        :raises UserError: if it is of a type that no codec accepts.
        """
        if type(value) in PLAIN:
            self.bytes += len(value) if isinstance(value, bytes) else 0
            return value
        if type(value) in (list, tuple):
            paths = [f"{path}[{index}]" for index in range(len(value))]
            return self.encode_items(value, paths)
        if (key := self._landmark_of.get(id(value))) is not None:
            return {"kind": "landmark", "key": list(key)}
        if is_transient(value):
            return LEFT_OUT
        for codec in self.codecs:
            if codec.accepts(value):
                return {"kind": codec.kind, **codec.encode(value, self, path)}
        kind = type(value)
        raise UserError(
            f"{path} is a {kind.__module__}.{kind.__qualname__}, which a checkpoint cannot hold: "
            f"give {path.partition('.')[0]} a state_dict() that returns tensors and plain data, "
            "and a load_state_dict()"
        )

    def encode_items(self, values: Sequence[Any], paths: Sequence[str]) -> Any:
        """A list or tuple of encoded values; left out if it holds nothing but transient ones."""
        nodes = [self.encode(value, path) for value, path in zip(values, paths, strict=True)]
        left_out = [path for node, path in zip(nodes, paths, strict=True) if node is LEFT_OUT]
        if not left_out:
            return tuple(nodes) if isinstance(values, tuple) else nodes
        if len(left_out) < len(nodes):
            raise UserError(
                f"{left_out[0]} stands among state, but cannot be part of a checkpoint: give "
                f"{left_out[0].partition('.')[0]} a state_dict() and a load_state_dict()"
            )
        return LEFT_OUT

    def decode(self, node: Any, live: Any = None) -> Any:
        """The value that ``node`` encodes.

        :param live: what the freshly built strategy has in this place.
        """
        if type(node) in (list, tuple):
            same = type(live) is type(node) and len(live) == len(node)
            lives = live if same else [None] * len(node)
            return type(node)(self.decode(item, old) for item, old in zip(node, lives, strict=True))
        if not isinstance(node, dict):
            return node
        if node == LEFT_OUT:
            return live
        if node["kind"] == "landmark":
            return self.landmarks[tuple(node["key"])]
        codec = next(codec for codec in self.codecs if codec.kind == node["kind"])
        return codec.decode(node, self, live)

    def count(self, tensor: torch.Tensor) -> None:
        """Add the bytes of ``tensor``, unless it is part of the model."""
        if _storage(tensor) not in self._own:
            self.bytes += tensor.nbytes

    def encode_module(self, module: nn.Module, path: str) -> dict[str, Any]:
        """Weights, buffers, and which parts are frozen or in evaluation mode."""
        return {
            "class": type(module).__name__,
            "weights": self.encode(dict(module.state_dict()), path),
            "frozen": [n for n, p in module.named_parameters() if not p.requires_grad],
            "evaluating": [n for n, part in module.named_modules() if not part.training],
        }

    def decode_module(self, node: dict[str, Any], module: nn.Module, path: str) -> None:
        """Put what ``node`` holds into ``module``.

        :raises UserError: if its parameters are others.
        """
        weights = self.decode(node["weights"])
        if not fits(module, weights):
            expected, saved = _shapes(module.state_dict()), _shapes(weights)
            differing = [
                name
                for name in sorted({*expected, *saved})
                if expected.get(name) != saved.get(name)
            ]
            raise UserError(
                f"the {path} that was captured has other parameters than the one to restore: "
                f"{', '.join(differing[:5])}. Heads must grow in training only "
                "(cl_strategies.models.heads), and the configuration must be the same"
            )
        module.load_state_dict(weights)
        for name, parameter in module.named_parameters():
            parameter.requires_grad_(name not in node["frozen"])
        for name, part in module.named_modules():
            part.training = name not in node["evaluating"]


def fits(module: nn.Module, weights: dict[str, Any]) -> bool:
    """Whether ``module`` has the names and shapes of ``weights``."""
    return _shapes(module.state_dict()) == _shapes(weights)


def _shapes(weights: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(getattr(value, "shape", ())) for name, value in weights.items()}


def _storage(tensor: Any) -> tuple[torch.device, int] | None:
    if not torch.is_tensor(tensor) or not tensor.numel():
        return None
    return tensor.device, tensor.untyped_storage().data_ptr()
