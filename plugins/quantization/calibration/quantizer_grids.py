"""The grids that calibration can set: which codes a quantizer has, and how it takes a range."""

from __future__ import annotations

from functools import singledispatch

import torch
from torch import Tensor

from cl_strategies.errors import UserError
from cl_strategies.plugins.quantization.calibration.functional.grid import Codes, grid_over
from cl_strategies.plugins.quantization.calibration.functional.weight_steps import (
    minmax_step,
    mse_step,
)
from cl_strategies.plugins.quantization.calibration.options import CalibrationOptions
from cl_strategies.plugins.quantization.functional.learned_step import code_range
from cl_strategies.plugins.quantization.quantizers.base import (
    ActivationQuantizer,
    Quantizer,
    WeightQuantizer,
)
from cl_strategies.plugins.quantization.quantizers.lsq import LSQActivation, LSQWeight
from cl_strategies.plugins.quantization.quantizers.lsq_plus import LSQPlusActivation
from cl_strategies.plugins.quantization.quantizers.scheme import Scheme
from cl_strategies.plugins.quantization.quantizers.uniform import UniformActivation, UniformWeight

_STEPS = {"min-max": minmax_step, "mse": mse_step}


@singledispatch
def codes_of(quantizer: ActivationQuantizer, low: float) -> Codes:
    """Return the codes that a quantizer has for values from ``low``, at most 0, up.

    :raises UserError: if its grid does not follow from a range.
    """
    raise no_grid(quantizer)


@singledispatch
def take_range(quantizer: ActivationQuantizer, low: float, high: float) -> None:
    """Set the grid of a quantizer to the finest that covers a range.

    :raises UserError: if its grid does not follow from a range.
    """
    raise no_grid(quantizer)


@singledispatch
def take_step(quantizer: WeightQuantizer, w: Tensor, method: str) -> None:
    """Set the step of a quantizer of weights.

    :param method: ``"min-max"`` or ``"mse"``.
    :raises UserError: if it has none, or has the range of its weights whatever the method.
    """
    raise no_grid(quantizer)


@codes_of.register
def _lsq_codes(quantizer: LSQActivation, low: float) -> Codes:
    signed = low < 0 if quantizer.given is None else quantizer.given
    first, last = code_range(quantizer.bits, signed=signed)
    return Codes(first=first, last=last)


@take_range.register
def _lsq_range(quantizer: LSQActivation, low: float, high: float) -> None:
    codes = codes_of(quantizer, low)
    step, _ = grid_over(torch.tensor(low), torch.tensor(high), codes)
    quantizer.signed.fill_(codes.first < 0)
    quantizer.step.data.copy_(step)
    quantizer._mark(ready=True)


@codes_of.register
def _offset_codes(quantizer: LSQPlusActivation, low: float) -> Codes:
    codes = _lsq_codes(quantizer, low)
    if codes.first == 0:
        return codes
    return Codes(first=0, last=2**quantizer.bits - 1, shifts=True)


@take_range.register
def _offset_range(quantizer: LSQPlusActivation, low: float, high: float) -> None:
    codes = codes_of(quantizer, low)
    step, zero = grid_over(torch.tensor(low), torch.tensor(high), codes)
    quantizer.signed.fill_(codes.shifts)
    quantizer.step.data.copy_(step)
    quantizer.offset.data.copy_(-zero * step)
    quantizer._mark(ready=True)


@codes_of.register
def _uniform_codes(quantizer: UniformActivation, low: float) -> Codes:
    if quantizer.symmetric:
        last = 2 ** (quantizer.bits - 1) - 1
        return Codes(first=-last, last=last)
    return Codes(first=0, last=2**quantizer.bits - 1, shifts=True)


@take_range.register
def _uniform_range(quantizer: UniformActivation, low: float, high: float) -> None:
    quantizer.low.fill_(low)
    quantizer.high.fill_(high)
    quantizer._mark(ready=True)


@take_step.register
def _lsq_step(quantizer: LSQWeight, w: Tensor, method: str) -> None:
    step = _STEPS[method](w, quantizer.bits, channel=quantizer.channel)
    quantizer.step.data.copy_(step.reshape(quantizer.step.shape))
    quantizer._mark(ready=True)


@take_step.register
def _uniform_step(quantizer: UniformWeight, w: Tensor, method: str) -> None:
    if method != "min-max":
        raise UserError(
            "the weights of uniform have the range of their own values, whatever is calibrated: "
            "give weight_method='min-max', or quantizer='lsq', whose steps are kept"
        )


def check_calibrates(scheme: Scheme, options: CalibrationOptions) -> None:
    """:raises UserError: if calibration could not set the grids of ``scheme``."""
    quantizer = scheme.weight(4, shape=(1, 1), rescale=False)
    take_step(quantizer, torch.ones(1, 1), options.weight_method)
    codes_of(scheme.activation(4, features=None), 0.0)
    if options.rounding == "adaround" and not isinstance(quantizer, LSQWeight):
        raise no_grid(quantizer)


def no_grid(quantizer: Quantizer) -> UserError:
    """Return the error for a quantizer that calibration does not know."""
    return UserError(
        f"{type(quantizer).__name__} cannot be calibrated: its grid follows from training; use "
        "quantizer='lsq' (best with per_channel=True), 'lsq-plus', 'llsq' or "
        "'uniform', or train the model"
    )
