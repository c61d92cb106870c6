"""L2: stay near the parameters of the last task, all parameters alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor

from cl_strategies.plugins.regularization.options import Strength
from cl_strategies.plugins.regularization.plugin import SurrogatePlugin
from cl_strategies.plugins.regularization.surrogate import QuadraticSurrogate
from cl_strategies.validation.hyperparameters import hyperparameters
from cl_strategies.validation.parameter import Alias


@hyperparameters
class L2Surrogate(QuadraticSurrogate):
    """Importance one for every parameter that a task has trained."""

    needs_path: ClassVar[bool] = False

    def __init__(self, *, strength: Annotated[Strength, Alias("c")] = 1.0, **options: Any) -> None:
        super().__init__(strength=strength, **options)

    def consolidate(self, state: Mapping[str, Tensor], theta: Tensor) -> dict[str, Tensor]:
        return {"importance": torch.ones_like(theta)}


class L2Plugin(SurrogatePlugin):
    """Add ``strength * ||theta - theta_of_the_last_task||**2`` to the loss of each later task.

    The baseline that shows what weighting parameters by importance is worth.
    """

    surrogate_class = L2Surrogate
