"""ALASSO (Park, Hong, Han, Lee, "Continual Learning by Asymmetric Loss Approximation with
Single-Side Overestimation", ICCV 2019)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from cl_strategies.plugins.regularization.functional import alasso_importance, check_not_negative
from cl_strategies.plugins.regularization.plugin import SurrogatePlugin
from cl_strategies.plugins.regularization.si import check_damping
from cl_strategies.plugins.regularization.surrogate import QuadraticSurrogate

BELOW, ABOVE = 1, 2


class ALASSOSurrogate(QuadraticSurrogate):
    """Overestimates the loss on the side of the center that no task has visited.

    ``"unobserved"`` holds which sides that is: :data:`BELOW`, :data:`ABOVE`, both for a parameter
    that the last task did not move, none for one that no task has trained. It says all that
    Eq. 4 wants to know of the parameters one task earlier, in one byte.

    :param c: strength of the penalty (Eq. 6).
    :param a: overestimation of the unobserved side (Eq. 5).
    :param c_prime: c in the importance (Eq. 11, decoupled as in section 4.4).
    :param a_prime: a in the importance.
    :param eps: curvature added on the unobserved side (Eq. 5).
    :param eps_prime: eps in the importance.
    :param xi: damping of the importance.
    :param monotone: never let an importance fall, as the authors' code does.
    :param exclude: patterns of names of parameters to leave alone.
    :raises UserError: if ``xi`` is not positive or another number is negative.
    """

    kept: ClassVar[Mapping[str, torch.dtype | None]] = {
        **QuadraticSurrogate.kept,
        "unobserved": torch.uint8,
    }

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
    ) -> None:
        super().__init__(c=c, exclude=exclude)
        check_not_negative(a=a, c_prime=c_prime, a_prime=a_prime, eps=eps, eps_prime=eps_prime)
        check_damping(xi)
        self.a, self.eps = a, eps
        self.decoupled = {"c": c_prime, "a": a_prime, "eps": eps_prime}
        self.xi = xi
        self.monotone = monotone

    def sides(self, state: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        observed, unobserved = state["importance"], state["unobserved"]
        overestimated = self.a * observed + self.eps
        below, above = (unobserved & BELOW).bool(), (unobserved & ABOVE).bool()
        return (
            torch.where(below, overestimated, observed),
            torch.where(above, overestimated, observed),
        )

    def consolidate(self, state: Mapping[str, Tensor], theta: Tensor) -> dict[str, Tensor]:
        importance = alasso_importance(
            state["path"],
            theta,
            state["center"],
            self._previous(state, theta),
            state["importance"],
            xi=self.xi,
            monotone=self.monotone,
            **self.decoupled,
        )
        below, above = theta <= state["center"], theta >= state["center"]
        unobserved = below.byte() * BELOW + above.byte() * ABOVE
        return {"importance": importance, "unobserved": unobserved}

    @staticmethod
    def _previous(state: Mapping[str, Tensor], theta: Tensor) -> Tensor:
        """A point on the side of the center that the task before came from (Eq. 4 uses no more
        of it). Without a task before there is no past loss: every side counts as observed."""
        center, unobserved = state["center"], state["unobserved"]
        came_from = (unobserved & BELOW).to(center) - (unobserved >> 1).to(center)
        return torch.where(unobserved == 0, theta, center + came_from)


class ALASSOPlugin(SurrogatePlugin):
    """ALASSO: a quadratic penalty per parameter that is steeper on the side of the last optimum
    that training has not seen, with importances that make the seen side exact.

    The defaults are those of the authors' code. Tune ``c`` for each stream; the useful value lies
    between 1 and 100.

    :param c: strength; the penalty is ``c`` times the surrogate of Eq. 5.
    :param a: how much steeper the unobserved side is; 1 is symmetric, the paper sweeps 0.8 to 5.
    :param c_prime: c' of section 4.4: weight of the past in the importance.
    :param a_prime: a' of section 4.4.
    :param eps: curvature of the unobserved side at importance zero.
    :param eps_prime: eps in the importance.
    :param xi: damping of the importance, in squared parameter units.
    :param monotone: never let an importance fall, as the authors' code does; ``False`` is Eq. 7
        of the paper, clipped at zero.
    :param exclude: patterns of names of parameters to leave alone, such as ``["bn*"]``.
    :raises UserError: if ``xi`` is not positive or another number is negative.
    """

    def __init__(
        self,
        c: float = 1.0,
        a: float = 1.8,
        c_prime: float = 1.0,
        a_prime: float = 1.0,
        eps: float = 1e-6,
        eps_prime: float = 0.0,
        xi: float = 0.1,
        monotone: bool = True,
        *,
        exclude: Sequence[str] = (),
    ) -> None:
        super().__init__(
            ALASSOSurrogate(
                c=c,
                a=a,
                c_prime=c_prime,
                a_prime=a_prime,
                eps=eps,
                eps_prime=eps_prime,
                xi=xi,
                monotone=monotone,
                exclude=exclude,
            )
        )
