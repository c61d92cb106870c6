"""The quantized copy of a trained network, and the ranges of its activations."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from cl_strategies.plugins.data_free.trained import Trained
from cl_strategies.plugins.features.modes import evaluating, in_mode
from cl_strategies.plugins.quantization.conversion.convert import quantize_model
from cl_strategies.plugins.quantization.quantizers.base import ActivationQuantizer
from cl_strategies.plugins.quantization.quantizers.uniform import Uniform


def quantized_copy(network: nn.Module, *, example: Tensor | None, **bits: Any) -> nn.Module:
    """Return a copy in evaluation mode with min-max weights per channel and activations.

    :param example: as for
        :func:`~cl_strategies.plugins.quantization.conversion.convert.quantize_model`.
    :param bits: bit-widths.
    :raises UserError: if the network cannot be quantized.
    """
    with evaluating(network):
        copied = copy.deepcopy(network)
    return quantize_model(copied, quantizer=Uniform(), example=example, **bits)


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
