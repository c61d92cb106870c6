"""How many bits a run computed with, as its configuration says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_WIDTHS = ("weight_bits", "activation_bits")


@dataclass(frozen=True, order=True)
class Precision:
    """Bit-widths of a run.

    :param quantizer: name in the table ``[quantization]``; ``""`` if there is none, because the
        strategy quantizes by itself or nothing does.
    :param weight_bits: 32 for full precision.
    :param activation_bits: 32 for full precision.
    """

    quantizer: str = ""
    weight_bits: int = 32
    activation_bits: int = 32

    @property
    def full(self) -> bool:
        """Whether nothing is quantized."""
        return self == Precision()

    @property
    def text(self) -> str:
        """``"FP32"``, ``"W4A4"`` or ``"lsq W4A4"``."""
        if self.full:
            return "FP32"
        return f"{self.quantizer} W{self.weight_bits}A{self.activation_bits}".strip()


def precision_of(config: Mapping[str, Any]) -> Precision:
    """Return the precision of a run.

    :param config: its configuration, by section; what does not fit counts as full precision.
    """
    table = config.get("quantization")
    named = isinstance(table, Mapping)
    found: Any = table if named else config.get("strategy", {})
    widths: list[Any] = [
        found.get(name) if isinstance(found, Mapping) else None for name in _WIDTHS
    ]
    if not all(type(width) is int for width in widths):
        return Precision()
    return Precision(str(found.get("quantizer", "")) if named else "", *widths)
