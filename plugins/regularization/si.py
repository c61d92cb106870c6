"""Synaptic Intelligence (Zenke, Poole, Ganguli, ICML 2017)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from cl_strategies.errors import UserError
from cl_strategies.plugins.regularization.functional import check_not_negative, si_importance
from cl_strategies.plugins.regularization.plugin import SurrogatePlugin
from cl_strategies.plugins.regularization.surrogate import QuadraticSurrogate


def check_damping(xi: float) -> None:
    """:raises UserError: if a parameter that never moves would get an importance of 0/0."""
    check_not_negative(xi=xi)
    if xi == 0:
        raise UserError("xi is 0: a parameter that does not move needs xi > 0; try 0.1 or 1e-3")


class SISurrogate(QuadraticSurrogate):
    """Importances add up over the tasks.

    :param c: strength of the penalty.
    :param xi: damping of the importance.
    :param exclude: patterns of names of parameters to leave alone.
    :raises UserError: if ``c`` is negative or ``xi`` is not positive.
    """

    def __init__(self, *, c: float = 1.0, xi: float = 0.1, exclude: Sequence[str] = ()) -> None:
        super().__init__(c=c, exclude=exclude)
        check_damping(xi)
        self.xi = xi

    def consolidate(self, state: Mapping[str, Tensor], theta: Tensor) -> dict[str, Tensor]:
        importance = si_importance(
            state["path"], theta, state["center"], state["importance"], xi=self.xi
        )
        return {"importance": importance}


class SIPlugin(SurrogatePlugin):
    """Synaptic Intelligence: a quadratic penalty, weighted by how much each parameter's path
    lowered the losses of the past tasks.

    Works on every device; Avalanche's ``SynapticIntelligencePlugin`` has no effect on a CPU.

    :param c: strength; the penalty is ``c * sum(importance * (theta - center)**2)``.
    :param xi: damping of the importance, in squared parameter units.
    :param exclude: patterns of names of parameters to leave alone, such as ``["bn*"]``.
    :raises UserError: if ``c`` is negative or ``xi`` is not positive.
    """

    def __init__(self, c: float = 1.0, xi: float = 0.1, *, exclude: Sequence[str] = ()) -> None:
        super().__init__(SISurrogate(c=c, xi=xi, exclude=exclude))
