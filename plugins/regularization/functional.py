"""Elementwise mathematics of Synaptic Intelligence, ALASSO and online EWC.

Shared notation: task ``n`` moved a parameter from ``previous`` to ``center``, which is where the
surrogate of the tasks ``1..n`` has its minimum, and gave it the curvature ``importance``;
``theta`` is where the parameter stands now. All tensors have one shape; nothing is modified.

Papers: Park, Hong, Han, Lee, "Continual Learning by Asymmetric Loss Approximation with
Single-Side Overestimation", ICCV 2019 (ALASSO); Zenke, Poole, Ganguli, "Continual Learning
Through Synaptic Intelligence", ICML 2017 (SI); Schwarz, Czarnecki, Luketina, Grabska-Barwinska,
Teh, Pascanu, Hadsell, "Progress & Compress: A scalable framework for continual learning",
ICML 2018 (online EWC).
"""

from __future__ import annotations

import torch
from torch import Tensor

from cl_strategies.errors import UserError
from cl_strategies.validation.numbers import finite, not_negative


def asymmetric_surrogate(
    theta: Tensor,
    center: Tensor,
    previous: Tensor,
    importance: Tensor,
    *,
    a: float = 1.8,
    eps: float = 1e-6,
) -> tuple[Tensor, Tensor]:
    """Return the asymmetric surrogate loss of each parameter and its gradient (ALASSO Eq. 4-5).

    With ``alpha = (theta - center) * (previous - center)`` the value is
    ``importance * (theta - center)**2`` where ``alpha > 0``, the side that was observed, and
    ``(a * importance + eps) * (theta - center)**2`` where ``alpha <= 0``. A parameter that did
    not move (``previous == center``) therefore counts as unobserved on both sides. There is no
    factor 1/2 and no strength ``c``: Eq. 6 multiplies by it.

    :param theta: current parameters, any shape.
    :param center: parameters after the last task, shape of ``theta``.
    :param previous: parameters before the last task, shape of ``theta``.
    :param importance: curvature of the observed side, in loss per squared parameter unit,
        shape of ``theta``.
    :param a: factor of overestimation of the unobserved side; the paper means ``a > 1``.
    :param eps: curvature added on the unobserved side.
    :return: ``(value, gradient)``, each of the shape of ``theta``; ``value.sum()`` is the loss.
    :raises UserError: if shapes differ, or ``a`` or ``eps`` is negative.

    >>> theta, center = torch.tensor([2.0, -2.0]), torch.zeros(2)
    >>> previous = torch.tensor([1.0, 1.0])  # came from the right: the right was observed
    >>> value, gradient = asymmetric_surrogate(theta, center, previous, torch.ones(2), a=3, eps=0)
    >>> value.tolist(), gradient.tolist()
    ([4.0, 12.0], [4.0, -12.0])
    """
    _check_shapes(theta, center=center, previous=previous, importance=importance)
    check_not_negative(a=a, eps=eps)
    shift = theta - center
    observed = shift * (previous - center).sign() > 0
    coefficient = torch.where(observed, importance, a * importance + eps)
    return coefficient * shift.square(), 2 * coefficient * shift


def alasso_importance(
    path_integral: Tensor,
    theta: Tensor,
    center: Tensor,
    previous: Tensor,
    importance: Tensor,
    *,
    c: float = 1.0,
    a: float = 1.0,
    eps: float = 0.0,
    xi: float = 0.1,
    monotone: bool = True,
) -> Tensor:
    """Return the curvature that ALASSO gives each parameter at the end of a task (Eq. 7 and 11).

    The paper's Eq. 7 with damping ``xi`` is ``(path_integral + past) / (D**2 + xi)``, where
    ``D = theta - center`` and ``past = -c * surrogate(theta)`` (Eq. 11) is the old surrogate of
    :func:`asymmetric_surrogate`, with the decoupled hyper-parameters c', a' and eps' of the
    paper's section 4.4. The authors' released code never lets a curvature fall; the paper does
    not mention this, and without it a parameter that a task leaves alone is forgotten.

    :param path_integral: fall of the task loss that each parameter accounts for, the sum over
        steps of ``-gradient * displacement``, in units of the loss.
    :param theta: parameters after the task that just ended, shape of ``path_integral``.
    :param center: parameters before that task, where the old surrogate has its minimum.
    :param previous: parameters one task earlier still: the side of the old surrogate.
    :param importance: the old curvature; zeros after the first task.
    :param c: the decoupled c': weight of the past.
    :param a: the decoupled a'.
    :param eps: the decoupled eps'.
    :param xi: damping, in squared parameter units. With ``xi=0``, Eq. 7 literally, a parameter
        that did not move gives ``x / 0`` as IEEE 754 defines it: infinite or NaN.
    :param monotone: ``True``: at least the old curvature, as in the authors' code; ``False``:
        Eq. 7 clipped at zero.
    :return: the new curvature, shape of ``path_integral``.
    :raises UserError: if shapes differ, or ``c``, ``a``, ``eps`` or ``xi`` is negative.

    >>> zero, one = torch.zeros(1), torch.ones(1)
    >>> alasso_importance(0.5 * one, 2 * one, one, zero, zero, xi=0.0)
    tensor([0.5000])
    >>> alasso_importance(0.1 * one, 2 * one, one, zero, one, xi=0.0)  # Eq. 7 is -0.9
    tensor([1.])
    >>> alasso_importance(0.1 * one, 2 * one, one, zero, one, xi=0.0, monotone=False)
    tensor([0.])
    """
    _check_shapes(path_integral, theta=theta, center=center)
    check_not_negative(c=c, xi=xi)
    surrogate, _ = asymmetric_surrogate(theta, center, previous, importance, a=a, eps=eps)
    estimate = (path_integral - c * surrogate) / ((theta - center).square() + xi)
    return torch.maximum(estimate, importance) if monotone else estimate.clamp_min(0)


def si_importance(
    path_integral: Tensor,
    theta: Tensor,
    center: Tensor,
    importance: Tensor,
    *,
    xi: float = 0.1,
) -> Tensor:
    """Return the curvature that SI gives each parameter at the end of a task.

    ``relu(importance + path_integral / ((theta - center)**2 + xi))``: Eq. 3 of the ALASSO paper,
    Eq. 5 of the SI paper, kept from falling below zero as the authors of SI do.

    :param path_integral: fall of the task loss that each parameter accounts for, the sum over
        steps of ``-gradient * displacement``, in units of the loss.
    :param theta: parameters after the task that just ended, shape of ``path_integral``.
    :param center: parameters before that task.
    :param importance: the old curvature; zeros after the first task.
    :param xi: damping, in squared parameter units. With ``xi=0`` a parameter that did not move
        gives ``x / 0`` as IEEE 754 defines it: infinite or NaN.
    :return: the new curvature, shape of ``path_integral``.
    :raises UserError: if shapes differ, or ``xi`` is negative.

    >>> one = torch.ones(1)
    >>> si_importance(0.5 * one, 2 * one, one, importance=0.25 * one, xi=0.0)
    tensor([0.7500])
    """
    _check_shapes(path_integral, theta=theta, center=center, importance=importance)
    check_not_negative(xi=xi)
    return (importance + path_integral / ((theta - center).square() + xi)).clamp_min(0)


def accumulate_importance(importance: Tensor, estimate: Tensor, *, decay: float = 1.0) -> Tensor:
    """Return ``decay * importance + estimate``, the importance after a task (online EWC, Eq. 9).

    The new estimate has no factor ``1 - decay``: with ``decay=1`` importances add up over tasks.

    :param importance: of all tasks before; zeros before the first. Any shape.
    :param estimate: of the task that just ended, shape and units of ``importance``.
    :param decay: the gamma of the paper, from 0, which forgets, to 1.
    :return: the new importance, shape of ``importance``.
    :raises UserError: if shapes differ, or ``decay`` is negative.

    >>> accumulate_importance(torch.tensor([2.0]), torch.tensor([1.0]), decay=0.5)
    tensor([2.])
    """
    _check_shapes(importance, estimate=estimate)
    check_not_negative(decay=decay)
    return decay * importance + estimate


def check_not_negative(**values: float) -> None:
    """:raises UserError: for a value that is negative, infinite or no number."""
    finite(**values)
    not_negative(**values)


def _check_shapes(reference: Tensor, **others: Tensor) -> None:
    for name, tensor in others.items():
        if tensor.shape != reference.shape:
            raise UserError(
                f"{name} has the shape {tuple(tensor.shape)} and the first argument "
                f"{tuple(reference.shape)}: all tensors must have one shape"
            )
