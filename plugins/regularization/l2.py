"""L2: stay near the parameters of the last task, all parameters alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from cl_strategies.plugins.regularization.plugin import SurrogatePlugin
from cl_strategies.plugins.regularization.surrogate import QuadraticSurrogate


class L2Surrogate(QuadraticSurrogate):
    """Importance one for every parameter that a task has trained."""

    needs_path: ClassVar[bool] = False

    def consolidate(self, state: Mapping[str, Tensor], theta: Tensor) -> dict[str, Tensor]:
        return {"importance": torch.ones_like(theta)}


class L2Plugin(SurrogatePlugin):
    """Adds ``c * ||theta - theta_of_the_last_task||**2`` to the loss of each later task.

    The baseline that shows what weighting parameters by importance is worth.

    :param c: strength; there is no factor 1/2.
    :param exclude: patterns of names of parameters to leave alone, such as ``["*.bias"]``.
    :raises UserError: if ``c`` is negative.
    """

    def __init__(self, c: float = 1.0, *, exclude: Sequence[str] = ()) -> None:
        super().__init__(L2Surrogate(c=c, exclude=exclude))
