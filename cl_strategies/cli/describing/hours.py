"""What a suite is expected to cost, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Keys of ``[suite]``, and what they count.
HOURS = {"gpu_hours": "GPU-hours", "cpu_hours": "CPU-hours"}


def hours_text(row: Mapping[str, Any]) -> str:
    """Return ``"about 1,200 GPU-hours"``, or that nothing is said.

    :param row: what ``[suite]`` has of :data:`HOURS`.
    """
    for key, unit in HOURS.items():
        if (value := row.get(key)) is not None:
            return f"about {value:,.3g} {unit}" if value < 1000 else f"about {value:,.0f} {unit}"
    return "not stated"
