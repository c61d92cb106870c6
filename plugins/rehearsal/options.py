"""Hyper-parameters that memories of samples have in common."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Unit
from typing_extensions import Doc

from cl_strategies.plugins.exemplars.options import MemBatchSize

__all__ = ["MemBatchSize", "MemSize"]

MemSize = Annotated[int, Ge(1), Doc("Size of the memory."), Unit("samples")]
