"""APD with fixed shared weights ("APDfix" in Li et al., "Hessian Aware Low-Rank Perturbation for
Order-Robust Continual Learning", 2024)."""

from __future__ import annotations

from cl_strategies.plugins.task_layers.decomposed_model import APDFixedModel
from cl_strategies.strategies.templates.decomposition import DecompositionStrategy


class APDFixed(DecompositionStrategy):
    """Shared weights of the first task, frozen; masks of their outputs for every task.

    A task may have a sparse residual, too (``tau=True``). Every task also has its own biases,
    normalizations and head. What belongs to an old task never changes, and neither do its outputs.
    """

    model: APDFixedModel
    model_class = APDFixedModel
