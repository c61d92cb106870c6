"""BatchEnsemble (Wen, Tran, Ba, "BatchEnsemble: an Alternative Approach to Efficient Ensemble and
Lifelong Learning", ICLR 2020) in its lifelong setting."""

from __future__ import annotations

from cl_strategies.plugins.task_layers.ensemble import EnsembleModel
from cl_strategies.strategies.templates.task_model import TaskModelStrategy


class BatchEnsemble(TaskModelStrategy):
    """Slow weights of the first task, frozen; rank-one fast weights for every task.

    The weights of a task are the slow ones times the outer product of two vectors, elementwise.
    Every task also has its own biases, normalizations and head. What belongs to an old task never
    changes, and neither do its outputs.
    """

    model: EnsembleModel
    model_class = EnsembleModel
