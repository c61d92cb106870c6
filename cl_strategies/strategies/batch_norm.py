"""Per-task batch normalization: the first task's weights under every task's own statistics."""

from __future__ import annotations

from cl_strategies.plugins.task_layers.normalization import NormalizationModel
from cl_strategies.strategies.templates.task_model import TaskModelStrategy


class PerTaskBatchNorm(TaskModelStrategy):
    """Weights of the first task, frozen; normalizations and a head of its own for every task.

    "BN-Tuned" in Wen, Tran, Ba, "BatchEnsemble: an Alternative Approach to Efficient Ensemble and
    Lifelong Learning", ICLR 2020, with the normalization of Ioffe and Szegedy, ICML 2015. What
    belongs to an old task never changes, and neither do its outputs.
    """

    model: NormalizationModel
    model_class = NormalizationModel
