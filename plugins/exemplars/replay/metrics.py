"""Evaluation plugins for a memory that is counted in bytes."""

from __future__ import annotations

import math

from cl_strategies.plugins.exemplars.buffer.byte_budget import ByteBudgetBuffer
from cl_strategies.plugins.exemplars.replay.plugin import CompressedReplayPlugin
from cl_strategies.plugins.metrics.resources import ExperienceMetric
from cl_strategies.plugins.protocols.training import TrainingStrategy


def byte_memory(strategy: TrainingStrategy) -> ByteBudgetBuffer | None:
    """Return the memory of a strategy that counts it in bytes; ``None`` for any other."""
    for plugin in strategy.plugins:
        if isinstance(plugin, CompressedReplayPlugin):
            return plugin.memory
    return None


class MemoryMetric(ExperienceMetric):
    """Measure one number of :meth:`ByteBudgetBuffer.report` after each experience.

    NaN for a strategy without such a memory, and while it is empty.
    """

    entry = ""

    def measure(self, strategy: TrainingStrategy) -> float:
        memory = byte_memory(strategy)
        value = None if memory is None else memory.report()[self.entry]
        return math.nan if value is None else float(value)


class ExemplarBytes(MemoryMetric):
    """Count the bytes of all that is stored: payloads, headers, boxes, labels."""

    name, entry = "Exemplar_Bytes", "bytes_used"


class ExemplarCount(MemoryMetric):
    """Count the exemplars of all classes."""

    name, entry = "Exemplars", "exemplars"


class CompressionRate(MemoryMetric):
    """Measure the bytes stored, as a share of the same images at one byte per value."""

    name, entry = "Compression_Rate", "compression_rate"


def exemplar_metrics() -> list[MemoryMetric]:
    """Return all of these metrics, for ``EvaluationPlugin(*exemplar_metrics(), ...)``."""
    return [ExemplarBytes(), ExemplarCount(), CompressionRate()]
