"""What can be set of continual evaluation, in a script and in a configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt, Unit
from typing_extensions import Doc

from cl_strategies.validation.hyperparameters import OptionGroup, documented


@documented
@dataclass(frozen=True, kw_only=True)
class TraceOptions(OptionGroup):
    """How often to evaluate during training, and on how many samples."""

    table: ClassVar[str] = "continual_evaluation"

    cost: Annotated[
        float,
        Gt(0),
        Doc(
            "Share of the cost of training that evaluations may have, with a forward pass counted "
            "as a third of a training step. The first and the last iteration of an experience are "
            "evaluated whatever they cost."
        ),
    ] = 0.1
    every: Annotated[
        int | None,
        Ge(1),
        Doc("Period after the dense start; ``None``: as often as ``cost`` allows."),
        Unit("iterations"),
    ] = None
    dense: Annotated[
        int,
        Ge(1),
        Doc(
            "First iterations of an experience that are evaluated one by one; with "
            "``every=None`` at most half of the points are."
        ),
        Unit("iterations"),
    ] = 50
    samples: Annotated[
        int | None,
        Ge(1),
        Doc(
            "Samples of each test set, class-balanced, the same at every point; ``None``: 200, or "
            "as many down to 20 as leave six points in the last experience."
        ),
    ] = None
    window: Annotated[
        int,
        Ge(1),
        Doc("Window of the largest drop and the largest gain."),
        Unit("iterations"),
    ] = 100
    beta: Annotated[
        int,
        Ge(1),
        Doc("Length of the learning curve, which needs an evaluation after each iteration."),
        Unit("iterations"),
    ] = 10
    subset_seed: Annotated[
        int, Ge(0), Doc("Draws the samples; the same for all runs that are compared.")
    ] = 0
