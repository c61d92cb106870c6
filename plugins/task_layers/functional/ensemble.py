"""The rank-one fast weights of BatchEnsemble (Wen, Tran, Ba, ICLR 2020).

The paper writes a weight matrix as inputs x outputs, with ``r`` on the inputs and ``s`` on the
outputs. Here weights are outputs x inputs, as in PyTorch.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def fast_weight(slow: Tensor, outputs: Tensor, inputs: Tensor) -> Tensor:
    """Multiply slow weights by a rank-one matrix, elementwise: the weights of a task (Eq. 1).

    :param slow: ``(J, I)`` or ``(J, I, kh, kw)``; a kernel is scaled as a whole.
    :param outputs: ``(J,)``, ``s`` in the paper.
    :param inputs: ``(I,)``, ``r`` in the paper.
    :returns: of the shape of ``slow``.
    """
    rest = (1,) * (slow.dim() - 2)
    return slow * outputs.view(-1, 1, *rest) * inputs.view(1, -1, *rest)


def fast_linear(
    x: Tensor, slow: Tensor, outputs: Tensor, inputs: Tensor, bias: Tensor | None = None
) -> Tensor:
    """Compute a linear layer with the weights of :func:`fast_weight`, without making them (Eq. 5).

    Cheaper for few samples: N (J + I) multiplications instead of J I.

    :param x: ``(..., I)``.
    :param slow: ``(J, I)``.
    :param outputs: ``(J,)``.
    :param inputs: ``(I,)``.
    :param bias: ``(J,)``, not scaled, or ``None``.
    :returns: ``(..., J)``.
    """
    y = F.linear(x * inputs, slow) * outputs
    return y if bias is None else y + bias
