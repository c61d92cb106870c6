"""Forward passes in bfloat16 where that is safe."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import torch
from avalanche.training.plugins import SupervisedPlugin

from cl_strategies.errors import UserError
from cl_strategies.plugins.protocols.training import TrainingStrategy


class AutocastPlugin(SupervisedPlugin):
    """Compute the matrix products and convolutions of the forward pass in half the bits.

    Weights, gradients, logits, loss and optimizer stay in float32. PyTorch's autocast decides
    which operations change; bfloat16 has the range of float32, so that no loss scaling is needed.
    It pays on GPUs and on processors with bfloat16 instructions (``avx512_bf16``, ``amx_bf16``);
    on others a step takes many times as long. Results differ from those in float32 by rounding (a
    relative step of 1/256).

    Only the strategy's own forward pass is affected, in training and in evaluation, not what
    other plugins compute with the model.

    :param dtype: Type of these operations: ``torch.bfloat16`` (the default), or ``torch.float16``
        for networks that are known to need no loss scaling.
    :raises UserError: for another type.
    """

    def __init__(self, *, dtype: torch.dtype = torch.bfloat16) -> None:
        super().__init__()
        if dtype not in (torch.bfloat16, torch.float16):
            raise UserError(f"dtype is {dtype}: use torch.bfloat16 or torch.float16")
        self.dtype = dtype
        self._open = ExitStack()

    def _enter(self, strategy: TrainingStrategy) -> None:
        self._open.close()  # left open by a forward pass that failed
        device = torch.device(strategy.device).type
        self._open.enter_context(torch.autocast(device, dtype=self.dtype))

    def _leave(self, strategy: TrainingStrategy) -> None:
        self._open.close()
        strategy.mb_output = _float32(strategy.mb_output)

    def before_forward(self, strategy: TrainingStrategy, **kwargs: Any) -> None:
        self._enter(strategy)

    def after_forward(self, strategy: TrainingStrategy, **kwargs: Any) -> None:
        self._leave(strategy)

    def before_eval_forward(self, strategy: TrainingStrategy, **kwargs: Any) -> None:
        self._enter(strategy)

    def after_eval_forward(self, strategy: TrainingStrategy, **kwargs: Any) -> None:
        self._leave(strategy)

    def state_dict(self) -> dict[str, Any]:
        """Return an empty state: nothing is kept between experiences."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Do nothing: there is no state."""


def _float32(output: Any) -> Any:
    if isinstance(output, torch.Tensor):
        return output.float() if output.is_floating_point() else output
    if isinstance(output, dict):
        return {key: _float32(value) for key, value in output.items()}
    if isinstance(output, tuple) and not hasattr(output, "_fields"):
        return tuple(_float32(value) for value in output)
    return output
