"""Synaptic Intelligence (Zenke, Poole, Ganguli, ICML 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cl_strategies.plugins.regularization.si import SIPlugin
from cl_strategies.strategies.base import Strategy


class SI(Strategy):
    """Fine-tuning with a penalty on parameters whose path lowered past losses.

    :param c: strength of the penalty; there is no factor 1/2.
    :param xi: damping of the importance; the authors use 0.1 (MNIST) and 1e-3 (CIFAR).
    :param exclude: patterns of names of parameters to leave alone.
    :param template: arguments of Avalanche's ``SupervisedTemplate``.
    :raises UserError: if ``c`` is negative or ``xi`` is not positive.
    """

    def __init__(
        self,
        *,
        c: float = 1.0,
        xi: float = 0.1,
        exclude: Sequence[str] = (),
        **template: Any,
    ) -> None:
        self.regularizer = SIPlugin(c, xi, exclude=exclude)
        super().__init__(method=[self.regularizer], **template)
