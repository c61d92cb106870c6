"""Hyper-parameters that class-incremental methods have in common."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge, Gt
from typing_extensions import Doc

from cl_strategies.validation.parameter import Since

Temperature = Annotated[float, Gt(0), Doc("Temperature of the softmax in the distillation.")]
DistillationWeight = Annotated[float, Ge(0), Doc("Weight of the distillation of old classes.")]
StageSchedule = Annotated[
    Literal["run", "constant"],
    Since("0.2"),
    Doc('Its schedule: ``"run"``: that of the run, stretched over the stage; or ``"constant"``.'),
]
BalanceEpochs = Annotated[
    int,
    Ge(0),
    Doc(
        "Epochs after each experience in which the exemplars of all classes train the classifier "
        "alone."
    ),
]
BalanceLR = Annotated[float, Gt(0), Doc("Initial learning rate of that training.")]
