"""An ``EvaluationPlugin`` that is only called when someone listens.

Avalanche's evaluation plugin answers each of the ten callbacks of a training step: it copies the
experience, calls every metric and gives every logger an (empty) list, even if no metric and no
logger does anything there.
"""

from __future__ import annotations

from typing import Any

from avalanche.core import BasePlugin, BaseSGDPlugin, SupervisedPlugin
from avalanche.evaluation import PluginMetric
from avalanche.logging import BaseLogger
from avalanche.training.plugins import EvaluationPlugin

from cl_strategies.plugins.protocols.training import TrainingStrategy

CALLBACKS = tuple(name for name in vars(PluginMetric) if name.startswith(("before_", "after_")))
_SILENT = (PluginMetric, BaseLogger, BasePlugin, BaseSGDPlugin, SupervisedPlugin)


class LeanEvaluationPlugin(EvaluationPlugin):
    """Avalanche's ``EvaluationPlugin`` without the work nobody asked for.

    Same arguments, same metrics, same logs. A callback that neither a metric nor a logger
    implements is not dispatched; who listens is looked up at the start of each ``train`` and
    ``eval``, so metrics may still be added between them.
    """

    _unheard: frozenset[str] = frozenset()

    def __getattribute__(self, item: str) -> Any:
        if item in object.__getattribute__(self, "_unheard"):
            raise AttributeError(item)
        return super().__getattribute__(item)

    def _update_metrics_and_loggers(self, strategy: TrainingStrategy, callback: str) -> Any:
        if callback in ("before_training", "before_eval"):
            listeners = [*self.metrics, *self.loggers]
            self._unheard = frozenset(
                name
                for name in CALLBACKS
                if name not in ("before_training", "before_eval")
                and not any(_implements(listener, name) for listener in listeners)
            )
        return super()._update_metrics_and_loggers(strategy, callback)


def _implements(listener: Any, callback: str) -> bool:
    method = getattr(listener, callback, None)
    function = getattr(method, "__func__", method)
    return method is not None and all(
        function is not getattr(base, callback, None) for base in _SILENT
    )
