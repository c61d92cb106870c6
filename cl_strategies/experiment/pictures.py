"""What a run shows of its exemplars: numbers after each experience, pictures at the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cl_strategies.atomic import atomic_write
from cl_strategies.plugins.exemplars.metrics import byte_memory
from cl_strategies.plugins.masking.gallery import stored_pictures
from cl_strategies.reports.exemplar_sheet import sheet_png

FILE = "exemplars.png"


def exemplar_numbers(strategy: Any) -> dict[str, int] | None:
    """Count, bytes, bytes of the same images raw, and classes; ``None`` without such a memory."""
    memory = byte_memory(strategy)
    if memory is None:
        return None
    report = memory.report()
    return {
        "count": report["exemplars"],
        "bytes": report["bytes_used"],
        "raw_bytes": report["raw_bytes"],
        "classes": len(report["exemplars_per_class"]),
    }


def write_pictures(strategy: Any, dataset: Any, folder: Path) -> None:
    """Write ``exemplars.png``, if the strategy has a memory in bytes.

    :param dataset: of the stream, whose transforms the exemplars get for their heat maps.
    :raises StorageError: if it cannot be written.
    """
    memory = byte_memory(strategy)
    if memory is None or not memory.records:
        return
    memory.use_transforms(dataset)
    data = sheet_png(stored_pictures(strategy))
    with atomic_write(folder / FILE) as file:
        file.write(data)
