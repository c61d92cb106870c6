"""The regularizer of fine-tuning (HALRP Eq. 12)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def regularizer(
    scales: Sequence[Tensor], factors: Sequence[Tensor], *, l1: float, l2: float
) -> Tensor:
    r"""Return ``l1 (|U| + |V|) + l2 (|R|^2 + |S|^2 + |U|^2 + |V|^2)``, summed over layers (Eq. 12).

    The norm that Eq. 12 leaves open is the sum of magnitudes (Appendix D). There is no factor
    1/2; the authors' released code has one.

    :param scales: row and column scales of all layers.
    :param factors: low-rank factors of all layers.
    :param l1: lambda_0.
    :param l2: lambda_1.
    :returns: scalar.
    """
    zero = torch.zeros((), dtype=scales[0].dtype, device=scales[0].device)
    magnitude = sum((factor.abs().sum() for factor in factors), zero)
    energy = sum((tensor.square().sum() for tensor in (*scales, *factors)), zero)
    return l1 * magnitude + l2 * energy


@torch.no_grad()
def regularizer_gradient(
    scales: Sequence[Tensor], factors: Sequence[Tensor], *, l1: float, l2: float
) -> list[Tensor]:
    """Compute the gradient of :func:`regularizer` for each of ``(*scales, *factors)``."""
    tensors = [*scales, *factors]
    if not tensors:
        return []
    found = list(torch._foreach_mul(tensors, 2 * l2))
    if l1 and factors:
        torch._foreach_add_(found[len(scales) :], torch._foreach_sign(list(factors)), alpha=l1)
    return found


@torch.no_grad()
def add_regularizer_gradient_(
    scales: Sequence[Tensor], factors: Sequence[Tensor], *, l1: float, l2: float
) -> None:
    """Add the gradient of :func:`regularizer` to the ``.grad`` of each tensor that has one."""
    energy = [t for t in (*scales, *factors) if t.grad is not None]
    if l2 and energy:
        gradients: list[Tensor] = [t.grad for t in energy if t.grad is not None]
        torch._foreach_add_(gradients, energy, alpha=2 * l2)
    sparse = [t for t in factors if t.grad is not None]
    if l1 and sparse:
        gradients = [t.grad for t in sparse if t.grad is not None]
        torch._foreach_add_(gradients, torch._foreach_sign(sparse), alpha=l1)
