"""How a run trains: the table ``[train]``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le
from typing_extensions import Doc

from cl_strategies.errors import UserError
from cl_strategies.experiment.config.rate_factors import RateFactors, rate_factors
from cl_strategies.plugins.classes.options import UnseenClasses
from cl_strategies.validation.hyperparameters import check_fields, documented

_SCHEDULE_KEYS = ("schedule", "milestones", "gamma")
#: What came later than the hash, and is left out of it where it is not set.
_LATER = ("fused", "channels_last", "first_epochs", "lr_factors", "bits_before", "lr_before")


@documented
@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How every experience is trained."""

    epochs: Annotated[int, Ge(1), Doc("Passes over each experience.")] = 1
    first_epochs: Annotated[
        int, Ge(0), Doc("Passes over the first experience, if it is to have others; 0: ``epochs``.")
    ] = 0
    batch_size: Annotated[int, Ge(1), Doc("Samples of the current experience per step.")] = 64
    eval_batch_size: Annotated[
        int, Ge(1), Doc("Samples per evaluation step. It changes no number.")
    ] = 512
    optimizer: Annotated[
        Literal["adam", "adamw", "sgd"], Doc("Its state is kept between experiences.")
    ] = "adam"
    lr: Annotated[float, Gt(0), Doc("Learning rate.")] = 1e-3
    lr_factors: Annotated[
        RateFactors,
        Doc(
            "Factors of the learning rate by patterns of names of parameters, such as "
            '``{ "backbone.*" = 0.1 }``; the first pattern that fits a parameter counts.'
        ),
    ] = ()
    momentum: Annotated[float, Ge(0), Doc('Momentum, of ``"sgd"`` only.')] = 0.0
    weight_decay: Annotated[float, Ge(0), Doc("Weight decay, of any optimizer.")] = 0.0
    fused: Annotated[
        bool,
        Doc(
            "Let the optimizer change all that a step changes in one pass: faster for networks of "
            "millions of weights, with other last digits."
        ),
    ] = False
    channels_last: Annotated[
        bool,
        Doc(
            "Hold weights of convolutions with the channels as the fastest dimension: faster on "
            "many processors and GPUs, with other last digits."
        ),
    ] = False
    schedule: Annotated[
        Literal["constant", "cosine", "step", "exponential"],
        Doc(
            'How the learning rate falls within an experience, ``"cosine"`` to 0, '
            '``"exponential"`` by a factor at every mini-batch; it starts again with each '
            "experience."
        ),
    ] = "constant"
    milestones: Annotated[
        Sequence[int],
        Ge(0),
        Doc('Of ``"step"``: epochs, counted from 0, before which the rate is multiplied.'),
    ] = ()
    gamma: Annotated[
        float,
        Gt(0),
        Le(1),
        Doc(
            'The factor of the rate: of ``"step"`` at each milestone, of ``"exponential"`` at each '
            "mini-batch, which needs one near 1."
        ),
    ] = 0.1
    bits_before: Annotated[
        Sequence[int],
        Doc(
            "Bit-widths at which the first experience is trained before, the widest first, each "
            "from the weights of the one before; those that are not above the run's own are left "
            "out. A network that is trained at full precision does without."
        ),
    ] = ()
    lr_before: Annotated[
        Sequence[float],
        Gt(0),
        Doc("Learning rate at each width of ``bits_before``; ``lr`` at all of them if empty."),
    ] = ()
    unseen_classes: UnseenClasses = "mask"

    def __post_init__(self) -> None:
        check_fields(self, "train")
        if self.momentum and self.optimizer != "sgd":
            raise UserError(f"train.momentum is an option of sgd, not of {self.optimizer}")
        object.__setattr__(self, "milestones", tuple(self.milestones))
        if list(self.milestones) != sorted({0, *self.milestones} - {0}):
            raise UserError(
                f"train.milestones is {list(self.milestones)}: give growing numbers of epochs"
            )
        if bool(self.milestones) != (self.schedule == "step"):
            raise UserError(
                f"train.milestones is {list(self.milestones)} with schedule {self.schedule!r}: "
                'milestones belong to schedule = "step", which needs at least one'
            )
        if self.schedule == "exponential" and self.gamma == type(self).gamma:
            raise UserError(
                f'train.gamma is {self.gamma} with schedule = "exponential", which multiplies the '
                "rate by it at every mini-batch: give a factor near 1, such as 0.999"
            )
        object.__setattr__(self, "lr_factors", rate_factors(self.lr_factors))
        object.__setattr__(self, "bits_before", tuple(self.bits_before))
        _check_widths(self.bits_before)
        object.__setattr__(self, "lr_before", tuple(self.lr_before))
        if self.lr_before and len(self.lr_before) != len(self.bits_before):
            raise UserError(
                f"train.lr_before is {list(self.lr_before)} and train.bits_before "
                f"{list(self.bits_before)}: give a rate for each width, or no rate"
            )

    def at_width(self, bits: int) -> TrainConfig:
        """Return how the first experience is trained at ``bits``, a width of ``bits_before``."""
        rates = dict(zip(self.bits_before, self.lr_before, strict=False))
        return replace(self, lr=rates.get(bits, self.lr))

    def to_table(self) -> dict[str, Any]:
        """Return plain data; without what came later and is not set, as the hash always was."""
        table = {
            **asdict(self),
            "milestones": list(self.milestones),
            "lr_factors": [list(pair) for pair in rate_factors(self.lr_factors)],
            "bits_before": list(self.bits_before),
            "lr_before": list(self.lr_before),
        }
        unset = _SCHEDULE_KEYS if self.schedule == "constant" else ()
        if self.unseen_classes == "mask":
            unset = (*unset, "unseen_classes")
        unset = (*unset, *(key for key in _LATER if not table[key]))
        return {key: value for key, value in table.items() if key not in unset}


def _check_widths(widths: Sequence[int]) -> None:
    if not widths:
        return
    from cl_strategies.plugins.quantization.functional.rounding import check_bits  # of torch

    for width in widths:
        check_bits(width, name="a number in train.bits_before")
    if list(widths) != sorted({*widths}, reverse=True):
        raise UserError(
            f"train.bits_before is {list(widths)}: give falling bit-widths, such as [32, 8]"
        )
