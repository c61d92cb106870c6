"""ALASSO (Park, Hong, Han, Lee, "Continual Learning by Asymmetric Loss Approximation with
Single-Side Overestimation", ICCV 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cl_strategies.plugins.regularization.alasso import ALASSOPlugin
from cl_strategies.strategies.base import Strategy


class ALASSO(Strategy):
    """Fine-tuning with a penalty that is steeper where no past task has been.

    :param c: strength of the penalty (Eq. 6); tune it for the stream, up to 100.
    :param a: how much steeper the unobserved side is (Eq. 5).
    :param c_prime: weight of the past in the importance (Eq. 11, decoupled).
    :param a_prime: ``a`` in the importance.
    :param eps: curvature of the unobserved side at importance zero (Eq. 5).
    :param eps_prime: ``eps`` in the importance.
    :param xi: damping of the importance (Eq. 7 has none).
    :param monotone: never let an importance fall, as the authors' code does; ``False`` is Eq. 7
        clipped at zero.
    :param exclude: patterns of names of parameters to leave alone.
    :param template: arguments of Avalanche's ``SupervisedTemplate``.
    :raises UserError: if ``xi`` is not positive or another number is negative.
    """

    def __init__(
        self,
        *,
        c: float = 1.0,
        a: float = 1.8,
        c_prime: float = 1.0,
        a_prime: float = 1.0,
        eps: float = 1e-6,
        eps_prime: float = 0.0,
        xi: float = 0.1,
        monotone: bool = True,
        exclude: Sequence[str] = (),
        **template: Any,
    ) -> None:
        self.regularizer = ALASSOPlugin(
            c, a, c_prime, a_prime, eps, eps_prime, xi, monotone, exclude=exclude
        )
        super().__init__(method=[self.regularizer], **template)
