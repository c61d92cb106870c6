"""What a run shows of its exemplars: numbers after each experience, pictures at the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cl_strategies.io.atomic import atomic_write
from cl_strategies.plugins.exemplars.replay.contact_sheet import sheet_png
from cl_strategies.plugins.exemplars.replay.metrics import byte_memory
from cl_strategies.plugins.masking.exemplar_pictures import stored_pictures
from cl_strategies.plugins.masking.metrics import box_overlaps

FILE = "exemplars.png"


def exemplar_numbers(strategy: Any) -> dict[str, float] | None:
    """Count, bytes, bytes of the same images raw, and classes; ``None`` without such a memory.

    Where exemplars have boxes, also their mean area, and where masks made them, how much they
    overlap with those of class activation maps, and with those that the stream knows.
    """
    memory = byte_memory(strategy)
    if memory is None:
        return None
    report = memory.report()
    area = {} if report["box_area"] is None else {"box_area": report["box_area"]}
    return {
        "count": report["exemplars"],
        "bytes": report["bytes_used"],
        "raw_bytes": report["raw_bytes"],
        "classes": len(report["exemplars_per_class"]),
        **area,
        **box_overlaps(strategy),
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
