"""A backbone compiled by ``torch.compile``."""

from __future__ import annotations

from typing import Any

import torch
from avalanche.training.plugins import SupervisedPlugin
from torch import nn

from cl_strategies.errors import UserError
from cl_strategies.plugins.protocols.training import TrainingStrategy


class CompilePlugin(SupervisedPlugin):
    """Compile one part of the network, the one that does not change along the stream.

    Heads grow with new classes and tasks, and each change would compile everything anew; this
    compiles ``model.backbone``, or the part you name, in place: names, parameters, checkpoints and
    other plugins see the same module. The first steps take seconds to minutes, so that it pays on
    long runs only. Needs what ``torch.compile`` needs (on a CPU, a C++ compiler). Copies of the
    model that methods keep as teachers are not compiled.

    :param part: Name of a submodule, as in ``named_modules()``; ``""`` for the whole network, and
        ``"backbone"`` by default.
    :param options: Arguments of ``torch.compile`` (``backend``, ``mode``, ``dynamic``...).
    :raises UserError: when training begins, if the model has no such part.
    """

    def __init__(self, *, part: str = "backbone", **options: Any) -> None:
        super().__init__()
        self.part = part
        self.options = options

    def before_training_exp(self, strategy: TrainingStrategy, **kwargs: Any) -> None:
        self._compile(strategy.model)

    def before_eval(self, strategy: TrainingStrategy, **kwargs: Any) -> None:
        self._compile(strategy.model)

    def _compile(self, model: nn.Module) -> None:
        modules = dict(model.named_modules())
        if self.part not in modules:
            known = ", ".join(name for name, _ in model.named_children()) or "(none)"
            raise UserError(
                f"the model has no part {self.part!r} to compile: name one of its submodules, "
                f'such as {known}, or "" for the whole network'
            )
        module = modules[self.part]
        if module._compiled_call_impl is None:
            # Not module.compile(): it leaves PyTorch's own containers, such as Sequential, alone.
            def call(*args: Any, **kwargs: Any) -> Any:
                return module._call_impl(*args, **kwargs)

            module._compiled_call_impl = torch.compile(call, **self.options)

    def state_dict(self) -> dict[str, Any]:
        """Return an empty state: what is compiled can be compiled again."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Do nothing: there is no state."""
