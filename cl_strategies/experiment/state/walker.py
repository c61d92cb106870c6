"""Walking through the attributes of plugins, to capture them and to put them back."""

from __future__ import annotations

import logging
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from avalanche.benchmarks.scenarios import CLScenario, CLStream
from avalanche.benchmarks.utils.data_loader import MultiDatasetDataLoader
from avalanche.evaluation import PluginMetric
from avalanche.logging import BaseLogger
from avalanche.training.plugins import EvaluationPlugin
from torch import nn

from cl_strategies.errors import UserError
from cl_strategies.experiment.state.hidden_code import CODE, hidden_state
from cl_strategies.experiment.state.members import Members, members_of
from cl_strategies.experiment.state.samples import SamplePool

#: Left out of a state: code, output, and what is made anew for each experience.
TRANSIENT = (
    *CODE,
    types.ModuleType,
    type,
    logging.Logger,
    BaseLogger,
    EvaluationPlugin,
    PluginMetric,
    MultiDatasetDataLoader,
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
    """Return whether ``value`` is left out of a state."""
    return isinstance(value, TRANSIENT)


@dataclass(frozen=True)
class StateCodec:
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
    :ivar problems: what cannot be captured, with where it is and what to do; empty for a
        strategy that can be restored.
    """

    def __init__(
        self, strategy: Any, codecs: Sequence[StateCodec], experiences: Sequence[Any] = ()
    ) -> None:
        self.strategy = strategy
        self.codecs = codecs
        self.samples = SamplePool(experiences)
        self.bytes = 0  # of the tensors and arrays met
        self.datasets: list[Any] = []  # the data sets of exemplars met
        self.numbers: dict[int, int] = {}  # id of an object met -> its number in the state
        self.objects: dict[int, Any] = {}  # number -> object, which also keeps the ids valid
        self.tensors: dict[int, torch.Tensor] = {}  # number -> tensor outside of modules
        self.problems: list[str] = []
        self.refresh_landmarks()

    def refresh_landmarks(self) -> None:
        """Know the parts of the strategy that others may refer to."""
        strategy = self.strategy
        parts: dict[tuple[str, str | int], Any] = {
            ("strategy", ""): strategy,
            ("optimizer", ""): strategy.optimizer,
        }
        self.members = members_of(strategy.model)
        parts |= {("module", name): part for name, part in self.members.modules.items()}
        parts |= {("parameter", name): part for name, part in self.members.parameters.items()}
        parts |= {("buffer", name): part for name, part in self.members.buffers.items()}
        parts |= {("plugin", index): part for index, part in enumerate(strategy.plugins)}
        self.landmarks = parts
        self._landmark_of = {id(part): key for key, part in parts.items()}
        self._owner = {
            storage: key
            for key, part in parts.items()
            if torch.is_tensor(part) and (storage := _storage(part)) is not None
        }
        self._met: dict[tuple[torch.device, int], int] = {}
        self._inside: dict[tuple[torch.device, int], torch.Tensor] = {}

    def members_of(self, module: nn.Module) -> Members:
        """Return what ``module`` consists of, which does not change while a strategy is
        captured."""
        return self.members if module is self.strategy.model else members_of(module)

    def encode(self, value: Any, path: str) -> Any:
        """Return ``value`` as tensors and plain data; what is neither goes to :attr:`problems`.

        :param path: where it stands, for the message.
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
            return self._left_out(value, path)
        for codec in self.codecs:
            if codec.accepts(value):
                try:
                    return {"kind": codec.kind, **codec.encode(value, self, path)}
                except UserError as error:
                    self.problems.append(str(error))
                    return LEFT_OUT
        kind = type(value)
        self.problem(path, f"is a {kind.__module__}.{kind.__qualname__}")
        return LEFT_OUT

    def problem(self, path: str, what: str) -> None:
        """Note that what stands at ``path`` cannot be part of a checkpoint."""
        owner = path.partition(".")[0]
        self.problems.append(
            f"{path} {what}, which a checkpoint cannot hold: give {owner} a state_dict() that "
            "returns tensors and plain data, and a load_state_dict(); or, if it is made anew for "
            f"each experience, name the attribute in {owner}.transient_attributes"
        )

    def encode_items(self, values: Sequence[Any], paths: Sequence[str]) -> Any:
        """Return a list or tuple of encoded values; left out if it holds nothing but transient
        ones."""
        nodes = [self.encode(value, path) for value, path in zip(values, paths, strict=True)]
        left_out = [path for node, path in zip(nodes, paths, strict=True) if node is LEFT_OUT]
        if not left_out:
            return tuple(nodes) if isinstance(values, tuple) else nodes
        if len(left_out) < len(nodes):
            self.problem(left_out[0], "stands among state")
        return LEFT_OUT

    def decode(self, node: Any, live: Any = None) -> Any:
        """Return the value that ``node`` encodes.

        :param live: what the freshly built strategy has in this place.
        :raises UserError: if it would replace code.
        """
        if node == LEFT_OUT:
            return live
        if isinstance(live, types.FunctionType | types.MethodType | type | types.ModuleType):
            raise UserError("the state would replace code by data")
        if type(node) in (list, tuple):
            same = type(live) is type(node) and len(live) == len(node)
            lives = live if same else [None] * len(node)
            return type(node)(self.decode(item, old) for item, old in zip(node, lives, strict=True))
        if not isinstance(node, dict):
            return node
        if node["kind"] == "landmark":
            return self.landmarks[tuple(node["key"])]
        codec = next((codec for codec in self.codecs if codec.kind == node["kind"]), None)
        if codec is None:
            raise UserError(f"the state holds a value of the unknown kind {node['kind']!r}")
        return codec.decode(node, self, live)

    # ------------------------------------------------------------------ tensors

    def count(self, tensor: torch.Tensor) -> None:
        """Add the bytes of ``tensor``, unless it is part of the model."""
        if id(tensor) not in self._landmark_of and _storage(tensor) not in self._owner:
            self.bytes += tensor.nbytes

    def shared(self, tensor: torch.Tensor, path: str) -> list[Any] | None:
        """Whose memory ``tensor`` uses: a parameter's or buffer's name, or an earlier tensor's
        number; ``None`` if it has memory of its own, which later tensors may then refer to."""
        storage = _storage(tensor)
        if storage is None:
            return None
        if storage in self._owner:
            return list(self._owner[storage])
        if storage in self._inside:
            self.problem(path, "shares memory with a module that a plugin keeps")
        if storage in self._met:
            return ["tensor", self._met[storage]]
        self._met[storage] = len(self.tensors)
        self.tensors[len(self.tensors)] = tensor
        return None

    def number_of(self, tensor: torch.Tensor) -> int | None:
        """Return the number under which :meth:`shared` knows ``tensor``."""
        storage = _storage(tensor)
        return None if storage is None else self._met.get(storage)

    def base(self, key: Sequence[Any]) -> torch.Tensor:
        """Return the tensor that :meth:`shared` refers to."""
        found = self.tensors[key[1]] if key[0] == "tensor" else self.landmarks[tuple(key)]
        if not torch.is_tensor(found):
            raise UserError(f"the state refers to {key} as a tensor, which it is not")
        return found

    def enclose(self, tensors: Sequence[Any]) -> None:
        """Know ``tensors`` as parts of a module, which is captured as a whole."""
        for tensor in tensors:
            storage = None if id(tensor) in self._landmark_of else _storage(tensor)
            if storage is not None and storage not in self._owner:
                self._inside[storage] = tensor

    # ------------------------------------------------------------------ inside

    def _left_out(self, value: Any, path: str) -> dict[str, Any]:
        if isinstance(value, CODE) and not isinstance(value, MultiDatasetDataLoader):
            what = hidden_state(value, self._is_known)
            if what is not None:
                self.problem(path, what)
        return LEFT_OUT

    def _is_known(self, value: Any) -> bool:
        """Return whether a restored strategy has ``value`` as it was: it is restored, or cannot
        change."""
        return (
            type(value) in PLAIN
            or id(value) in self._landmark_of
            or id(value) in self.numbers
            or (is_transient(value) and not isinstance(value, CODE))
        )


def _storage(tensor: Any) -> tuple[torch.device, int] | None:
    if not torch.is_tensor(tensor) or not tensor.numel() or tensor.layout is not torch.strided:
        return None
    return tensor.device, tensor.untyped_storage().data_ptr()
