"""Every pure function of this package in one place: no state, no Avalanche.

A quantiser takes a tensor and a bit-width (1 to 8, or 32 to pass the tensor through) and returns
the quantised values, in the tensor's shape and type. Its gradient is that of the same function
with the identity in place of rounding: :func:`continuous` shows that function.
"""

from cl_strategies.plugins.quantization.admm import admm_loss, admm_update, correlation
from cl_strategies.plugins.quantization.apot_functions import apot, apot_levels
from cl_strategies.plugins.quantization.balanced import balanced_cross_entropy, balanced_logits
from cl_strategies.plugins.quantization.bits import continuous
from cl_strategies.plugins.quantization.cdf_functions import cdf_align_activation, cdf_align_weight
from cl_strategies.plugins.quantization.dorefa_functions import (
    dorefa_activation,
    dorefa_weight,
    pact,
)
from cl_strategies.plugins.quantization.lsq_functions import llsq, llsq_round_step, lsq
from cl_strategies.plugins.quantization.prox_functions import prox_weight
from cl_strategies.plugins.quantization.uniform_functions import (
    binary,
    uniform_minmax,
    uniform_range,
)

__all__ = [
    "admm_loss",
    "admm_update",
    "apot",
    "apot_levels",
    "balanced_cross_entropy",
    "balanced_logits",
    "binary",
    "cdf_align_activation",
    "cdf_align_weight",
    "continuous",
    "correlation",
    "dorefa_activation",
    "dorefa_weight",
    "llsq",
    "llsq_round_step",
    "lsq",
    "pact",
    "prox_weight",
    "uniform_minmax",
    "uniform_range",
]
