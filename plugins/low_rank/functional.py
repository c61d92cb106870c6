"""HALRP's mathematics: pure functions of tensors.

Li et al., "Hessian Aware Low-Rank Perturbation for Order-Robust Continual Learning".
"""

from cl_strategies.plugins.low_rank.decomposition import (
    increment_ratio,
    least_squares_scales,
    materialise,
    residual,
)
from cl_strategies.plugins.low_rank.penalty import add_regulariser_gradient_, regulariser
from cl_strategies.plugins.low_rank.pruning import (
    mixed_threshold,
    percentile_threshold,
    prune_below_,
    prune_to_budget_,
)
from cl_strategies.plugins.low_rank.ranks import (
    fisher_mean,
    grad_norm,
    limit_ranks,
    random_components,
    select_ranks,
)
from cl_strategies.plugins.low_rank.spectrum import Spectrum, truncated_svd

__all__ = [
    "Spectrum",
    "add_regulariser_gradient_",
    "fisher_mean",
    "grad_norm",
    "increment_ratio",
    "least_squares_scales",
    "limit_ranks",
    "materialise",
    "mixed_threshold",
    "percentile_threshold",
    "prune_below_",
    "prune_to_budget_",
    "random_components",
    "regulariser",
    "residual",
    "select_ranks",
    "truncated_svd",
]
