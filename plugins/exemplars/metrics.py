"""Evaluation plugins for a memory that is counted in bytes."""

from __future__ import annotations

import math
from typing import Any

from cl_strategies.plugins.exemplars.buffer import ByteBudgetBuffer
from cl_strategies.plugins.exemplars.replay import CompressedReplayPlugin
from cl_strategies.plugins.metrics.resources import ExperienceMetric


def byte_memory(strategy: Any) -> ByteBudgetBuffer | None:
    """The memory of a strategy that counts it in bytes; ``None`` for any other."""
    for plugin in strategy.plugins:
        if isinstance(plugin, CompressedReplayPlugin):
            return plugin.memory
    return None


class MemoryMetric(ExperienceMetric):
    """One number of :meth:`ByteBudgetBuffer.report` after each experience.

    NaN for a strategy without such a memory, and while it is empty.
    """

    entry = ""

    def measure(self, strategy: Any) -> float:
        memory = byte_memory(strategy)
        value = None if memory is None else memory.report()[self.entry]
        return math.nan if value is None else float(value)


class ExemplarBytes(MemoryMetric):
    """Bytes of all that is stored: payloads, headers, boxes, labels."""

    name, entry = "Exemplar_Bytes", "bytes_used"


class ExemplarCount(MemoryMetric):
    """Exemplars of all classes."""

    name, entry = "Exemplars", "exemplars"


class CompressionRate(MemoryMetric):
    """Bytes stored, as a share of the same images at one byte per value."""

    name, entry = "Compression_Rate", "compression_rate"


def exemplar_metrics() -> list[MemoryMetric]:
    """All of them, for ``EvaluationPlugin(*exemplar_metrics(), ...)``."""
    return [ExemplarBytes(), ExemplarCount(), CompressionRate()]
