"""Rounding up or down, decided by the output of a layer (AdaRound).

Nagel, Amjad, van Baalen, Louizos, Blankevoort, "Up or Down? Adaptive Rounding for Post-Training
Quantization", ICML 2020. A weight ``W`` with step ``s`` gets the code ``floor(W / s) + h(V)``,
where ``h`` lies between 0 and 1 and ends at one of them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

#: How far the sigmoid is stretched beyond 0 and 1, so that it reaches both (section 3.3).
ZETA, GAMMA = 1.1, -0.1
#: Exponents of the regularizer at the start and the end of the annealing.
START, END = 20.0, 2.0


def rectified_sigmoid(v: Tensor) -> Tensor:
    """Return ``h(V) = clip(sigmoid(V) (zeta - gamma) + gamma, 0, 1)`` (Eq. 23).

    >>> rectified_sigmoid(torch.tensor([-9.0, 0.0, 9.0]))
    tensor([0.0000, 0.5000, 1.0000])
    """
    return (torch.sigmoid(v) * (ZETA - GAMMA) + GAMMA).clamp(0, 1)


def first_variable(w: Tensor, step: Tensor) -> Tensor:
    """Return the ``V`` at which ``floor(W / s) + h(V)`` is ``W / s``: nothing is rounded yet.

    :param w: weights.
    :param step: broadcastable to ``w``, positive.
    """
    part = w / step
    part = part - part.floor()
    return torch.logit((part - GAMMA) / (ZETA - GAMMA))


def soft_codes(w: Tensor, step: Tensor, h: Tensor, *, first: int, last: int) -> Tensor:
    """Return ``clip(floor(W / s) + h, n, p)`` (Eq. 22 without the factor ``s``).

    :param w: weights.
    :param step: broadcastable to ``w``, positive.
    :param h: shape of ``w``, from 0 to 1.
    :param first: n.
    :param last: p.
    """
    return (torch.floor(w / step) + h).clamp(first, last)


def rounding_regularizer(h: Tensor, exponent: float) -> Tensor:
    """Return ``sum 1 - |2 h - 1|**beta`` (Eq. 24): zero where every ``h`` is 0 or 1.

    :param exponent: beta.

    >>> rounding_regularizer(torch.tensor([0.0, 0.5, 1.0]), 2.0)
    tensor(1.)
    """
    return (1 - (2 * h - 1).abs().pow(exponent)).sum()


def annealed_exponent(progress: float) -> float:
    """Return beta: :data:`START` falls to :data:`END` by half a cosine wave.

    The paper anneals from a large exponent, which leaves all ``h`` but those near 0 and 1 free, to
    a small one; it does not say by which curve.

    :param progress: part of the annealing that is over, from 0 to 1.
    """
    return END + (START - END) * (1 + math.cos(math.pi * progress)) / 2
