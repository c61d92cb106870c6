"""Hyper-parameters of calibration, declared once for every way to ask for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Unit
from typing_extensions import Doc

from cl_strategies.errors import UserError
from cl_strategies.validation.hyperparameters import (
    OptionGroup,
    documented,
    take_options,
)


@documented
@dataclass(frozen=True, kw_only=True)
class CalibrationOptions(OptionGroup):
    """How ranges, steps, rounding and biases are chosen from samples."""

    method: Annotated[
        Literal["min-max", "percentile", "mse", "entropy"],
        Doc(
            "Ranges of activations: of all values; without the outermost; with the smallest "
            "squared error; with the smallest loss of information, as in TensorRT."
        ),
    ] = "mse"
    weight_method: Annotated[
        Literal["min-max", "mse"],
        Doc("Steps of weights: those that clip nothing, or of the smallest squared error."),
    ] = "mse"
    percentile: Annotated[
        float,
        Gt(50),
        Le(100),
        Doc('Of ``"percentile"``: percent of the values that an end of the range covers.'),
    ] = 99.99
    bins: Annotated[
        int, Ge(256), Doc("Bins of the histogram of each activation; min-max has none.")
    ] = 2048
    rounding: Annotated[
        Literal["nearest", "adaround"],
        Doc("Rounding of weights: to the nearest code, or as the output of the layer decides."),
    ] = "nearest"
    iterations: Annotated[
        int, Ge(1), Doc("Steps of AdaRound for each layer; the paper takes 10,000.")
    ] = 1000
    rounding_lr: Annotated[
        float, Gt(0), Doc("Learning rate of AdaRound, by Adam; the paper takes 0.001.")
    ] = 0.01
    rounding_strength: Annotated[float, Ge(0), Doc("Weight of AdaRound's regularizer, lambda.")] = (
        0.01
    )
    correct_bias: Annotated[
        bool, Doc("Take off biases what quantization adds to the mean of each output channel.")
    ] = False
    samples: Annotated[int, Ge(1), Doc("Samples to calibrate with, at most."), Unit("samples")] = (
        512
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        off = [name for name, used in self._used().items() if not used and self._is_set(name)]
        if off:
            raise UserError(
                f"{off[0]} is {getattr(self, off[0])!r}, which does nothing with method = "
                f"{self.method!r} and rounding = {self.rounding!r}: leave it out"
            )

    def _used(self) -> dict[str, bool]:
        adaptive = self.rounding == "adaround"
        return {
            "percentile": self.method == "percentile",
            "bins": self.method != "min-max",
            "iterations": adaptive,
            "rounding_lr": adaptive,
            "rounding_strength": adaptive,
        }

    def _is_set(self, name: str) -> bool:
        return bool(getattr(self, name) != getattr(CalibrationOptions, name))


def take_calibration(options: dict[str, Any], *, asked: bool) -> CalibrationOptions:
    """Take those out of ``options`` that are of calibration, and put them together.

    :param asked: whether there is something to calibrate with.
    :raises UserError: if there are any and nothing to calibrate with.
    """
    found = take_options(CalibrationOptions, options)
    if found and not asked:
        raise UserError(
            f"{sorted(found)[0]} is an option of calibration: give samples, too, as in "
            "calibrate=memory, or leave it out"
        )
    return CalibrationOptions(**found)
