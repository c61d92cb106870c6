"""The ranges of the activations of a quantized copy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from cl_strategies.plugins.data_free.trained import Trained
from cl_strategies.plugins.features.modes import in_mode
from cl_strategies.plugins.quantization.quantizers.base import ActivationQuantizer


@contextmanager
def following(student: nn.Module) -> Iterator[None]:
    """Let the ranges of activations follow what passes through ``student`` within the context."""
    with ExitStack() as stack:
        for module in student.modules():
            if isinstance(module, ActivationQuantizer):
                stack.enter_context(in_mode(module, training=True))
        yield


@torch.no_grad()
def set_ranges(student: nn.Module, trained: Trained, images: Tensor, task: int) -> None:
    """Take the ranges of the activations of a fresh ``student`` from ``images``."""
    with following(student):
        trained.logits(images, task, network=student)
