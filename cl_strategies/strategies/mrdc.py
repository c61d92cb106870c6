"""MRDC (Wang, Zhang, Yang, Zhang, Li, Hong, Zhu, "Memory Replay with Data Compression for Continual
Learning", ICLR 2022)."""

from __future__ import annotations

from typing import Any

from cl_strategies.plugins.exemplars.options import Growing, MemBytes
from cl_strategies.plugins.exemplars.replay.jpeg_quality import QUALITIES, TOLERANCE
from cl_strategies.plugins.exemplars.replay.mrdc import Classes, MRDCPlugin, Qualities, Tolerance
from cl_strategies.plugins.incremental.method import IncrementalMethod
from cl_strategies.strategies.templates.class_incremental import ClassIncremental
from cl_strategies.strategies.templates.hosts import HostName, make_host
from cl_strategies.validation.hyperparameters import hyperparameters


@hyperparameters
def mrdc_host(*, host: HostName = "lucir") -> IncrementalMethod[Any] | None:
    """Return the method that MRDC plugs into."""
    return make_host(host)


@hyperparameters
def mrdc_memory(
    *,
    mem_bytes: MemBytes = 200_000,
    growing: Growing = False,
    classes: Classes = 0,
    qualities: Qualities = QUALITIES,
    tolerance: Tolerance = TOLERANCE,
) -> MRDCPlugin:
    """Return a memory of JPEG images that is herded, and joined to the data of an experience."""
    return MRDCPlugin(
        mem_bytes=mem_bytes,
        growing=growing,
        classes=classes,
        qualities=qualities,
        tolerance=tolerance,
        order="herding",
        join="concat",
    )


class MRDC(ClassIncremental):
    """Exemplars as JPEG images, of the lowest quality that keeps their features apart.

    :raises UserError: for an option out of its range.
    """

    parts = (mrdc_host, mrdc_memory)
