"""ALASSO (Park, Hong, Han, Lee, "Continual Learning by Asymmetric Loss Approximation with
Single-Side Overestimation", ICCV 2019)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Ge
from torch import Tensor
from typing_extensions import Doc

from cl_strategies.plugins.regularization.functional import alasso_importance, si_importance
from cl_strategies.plugins.regularization.options import Damping, Strength
from cl_strategies.plugins.regularization.plugin import SurrogatePlugin
from cl_strategies.plugins.regularization.surrogate import QuadraticSurrogate
from cl_strategies.validation.hyperparameters import hyperparameters
from cl_strategies.validation.parameter import Alias, Equation, Since

BELOW, ABOVE = 1, 2


@hyperparameters
class ALASSOSurrogate(QuadraticSurrogate):
    """Overestimates the loss on the side of the center that no task has visited.

    ``"unobserved"`` holds which sides that is: :data:`BELOW`, :data:`ABOVE`, both for a parameter
    that the last task did not move, none for one that no task has trained. It says all that
    Eq. 4 wants to know of the parameters one task earlier, in one byte.

    :raises UserError: for an option out of its range.
    """

    kept: ClassVar[Mapping[str, torch.dtype | None]] = {
        **QuadraticSurrogate.kept,
        "unobserved": torch.uint8,
    }

    def __init__(
        self,
        *,
        strength: Annotated[Strength, Equation("Eq. 6"), Alias("c")] = 1.0,
        a: Annotated[
            float,
            Ge(0),
            Doc("Overestimation of the side that no task has visited; 1 is symmetric."),
            Equation("Eq. 5"),
        ] = 1.8,
        c_prime: Annotated[
            float, Ge(0), Doc("Weight of the past in the importance."), Equation("Eq. 11")
        ] = 1.0,
        a_prime: Annotated[
            float, Ge(0), Doc("``a`` in the importance."), Equation("section 4.4")
        ] = 1.0,
        eps: Annotated[
            float,
            Ge(0),
            Doc("Curvature of the unobserved side at importance zero."),
            Equation("Eq. 5"),
        ] = 1e-6,
        eps_prime: Annotated[float, Ge(0), Doc("``eps`` in the importance.")] = 0.0,
        xi: Damping = 0.1,
        monotone: Annotated[
            bool,
            Doc(
                "Never let an importance fall, as the authors' code does; ``False`` is the "
                "equation of the paper, clipped at zero."
            ),
            Equation("Eq. 7"),
        ] = True,
        estimate: Annotated[
            Literal["exact", "accumulated"],
            Since("0.2"),
            Doc(
                '``"exact"``: importances that make the seen side exact; ``"accumulated"``: those '
                "of SI, the ablation without exact importances, where ``c_prime``, ``a_prime``, "
                "``eps_prime`` and ``monotone`` have nothing to act on."
            ),
            Equation("section 5.2"),
        ] = "exact",
        **options: Any,
    ) -> None:
        super().__init__(strength=strength, **options)
        self.a, self.eps = a, eps
        self.decoupled = {"c": c_prime, "a": a_prime, "eps": eps_prime}
        self.xi = xi
        self.monotone = monotone
        self.estimate = estimate

    def sides(self, state: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        observed, unobserved = state["importance"], state["unobserved"]
        overestimated = self.a * observed + self.eps
        below, above = (unobserved & BELOW).bool(), (unobserved & ABOVE).bool()
        return (
            torch.where(below, overestimated, observed),
            torch.where(above, overestimated, observed),
        )

    def consolidate(self, state: Mapping[str, Tensor], theta: Tensor) -> dict[str, Tensor]:
        importance = self._importance(state, theta)
        below, above = theta <= state["center"], theta >= state["center"]
        unobserved = below.byte() * BELOW + above.byte() * ABOVE
        return {"importance": importance, "unobserved": unobserved}

    def _importance(self, state: Mapping[str, Tensor], theta: Tensor) -> Tensor:
        path, center, old = state["path"], state["center"], state["importance"]
        if self.estimate == "accumulated":
            return si_importance(path, theta, center, old, xi=self.xi)
        previous = self._previous(state, theta)
        settings = {"xi": self.xi, "monotone": self.monotone, **self.decoupled}
        return alasso_importance(path, theta, center, previous, old, **settings)

    @staticmethod
    def _previous(state: Mapping[str, Tensor], theta: Tensor) -> Tensor:
        """Return a point on the side of the center that the task before came from (Eq. 4 uses no
        more of it). Without a task before there is no past loss: every side counts as observed."""
        center, unobserved = state["center"], state["unobserved"]
        came_from = (unobserved & BELOW).to(center) - (unobserved >> 1).to(center)
        return torch.where(unobserved == 0, theta, center + came_from)


class ALASSOPlugin(SurrogatePlugin):
    """ALASSO: a quadratic penalty per parameter that is steeper on the side of the last optimum
    that training has not seen, with importances that make the seen side exact.

    The defaults are those of the authors' code. The useful ``strength`` lies between 1 and 100.
    """

    surrogate_class = ALASSOSurrogate
