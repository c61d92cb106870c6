"""What the variants of a strategy differ in: factors with levels, read from the configurations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cl_strategies.reports.analysis.grouping import ELSEWHERE, REPEATED, Group, flatten, literal
from cl_strategies.results.formatting import show

QUANTIZER, BITS = "quantizer", "bits"
UNSET = "unset"
_SECTIONS = ("strategy", "model", "train", "run", "quantization")
#: What :data:`QUANTIZER` and :data:`BITS` stand for.
_PRECISION = tuple(
    f"{table}.{key}"
    for table in ("strategy", "quantization")
    for key in ("quantizer", "weight_bits", "activation_bits")
)


@dataclass(frozen=True, kw_only=True)
class Level:
    """One value of a factor.

    :param key: of the configuration, such as ``strategy.codec``, or ``bits`` and ``quantizer``.
    :param value: as configured; the bits of a weight.
    :param text: as shown, such as ``jpeg``, ``1 MiB``, ``W4A4`` or ``strength 0.1``.
    """

    key: str
    value: Any
    text: str

    @property
    def number(self) -> float | None:
        """The value where it is a number by which levels are ordered."""
        known = isinstance(self.value, int | float) and not isinstance(self.value, bool)
        return float(self.value) if known else None


def levels_of(groups: Sequence[Group]) -> dict[str, tuple[Level, ...]]:
    """Return for each strategy label the factors in which it differs from its own variants.

    A key that another one determines (``join`` by ``host``) is no factor of its own.

    :param groups: all on one benchmark.
    """
    result: dict[str, tuple[Level, ...]] = {}
    by_name: dict[str, list[Group]] = {}
    for group in groups:
        by_name.setdefault(group.records[0].strategy, []).append(group)
    tables_of = {name: [_table(group) for group in same] for name, same in by_name.items()}
    quantizers = {table.get(QUANTIZER) for tables in tables_of.values() for table in tables}
    several = len(quantizers - {None}) > 1  # then each strategy says which it has
    for name, same in by_name.items():
        tables = tables_of[name]
        keys = _factors(tables) if len(same) > 1 else []
        if several and BITS in keys and QUANTIZER not in keys:
            keys.append(QUANTIZER)
        for group, table in zip(same, tables, strict=True):
            result[group.strategy] = tuple(
                Level(key=key, value=table[key], text=_text(key, table[key]))
                for key in keys
                if key in table
            )
    return result


def _table(group: Group) -> dict[str, Any]:
    """Return the settings of a group that could be factors; bits and quantizer as such."""
    config, precision = group.records[0].config, group.precision
    quantized = "quantization" in config or not precision.full
    flat = {
        key: value
        for key, value in flatten({k: config[k] for k in _SECTIONS if k in config}).items()
        if key not in REPEATED and key not in ELSEWHERE and key != "strategy.name"
    }
    if quantized:
        for key in _PRECISION:
            flat.pop(key, None)
    if precision.quantizer:
        flat[QUANTIZER] = precision.quantizer
    short = f"W{precision.weight_bits}A{precision.activation_bits}"
    flat[BITS] = _Bits(precision.weight_bits, "FP32" if precision.full else short)
    return flat


class _Bits(int):
    """Bits of a weight that know how they are shown."""

    text: str

    def __new__(cls, bits: int, text: str) -> _Bits:
        made = super().__new__(cls, bits)
        made.text = text
        return made


def _factors(tables: Sequence[Mapping[str, Any]]) -> list[str]:
    keys = sorted({key for table in tables for key in table})
    columns = {key: [_literal(table.get(key, UNSET)) for table in tables] for key in keys}
    varied = [key for key in keys if len(set(columns[key])) > 1]
    kept: list[str] = []
    # By number of levels: what determines another key has at least as many. A name tells more than
    # a number that comes with it.
    named = {key: any(isinstance(table.get(key), str) for table in tables) for key in varied}
    for key in sorted(varied, key=lambda key: (-len(set(columns[key])), not named[key], key)):
        if not any(_determines(columns[other], columns[key]) for other in kept):
            kept.append(key)
    return sorted(kept)


def _determines(first: Sequence[str], second: Sequence[str]) -> bool:
    """Return whether equal levels of ``first`` have equal levels of ``second``, and some level of
    ``first`` comes more than once."""
    pairs = set(zip(first, second, strict=True))
    return len(pairs) == len(set(first)) < len(first)


def _literal(value: Any) -> str:
    return value.text if isinstance(value, _Bits) else literal(value)


def _text(key: str, value: Any) -> str:
    name = key.rpartition(".")[2]
    if isinstance(value, _Bits):
        return value.text
    if name.endswith("_bytes") and type(value) is int and value >= 0:
        return bytes_text(value)
    if isinstance(value, bool) or value is None:
        return name if value else f"no {name}"
    if isinstance(value, int | float):
        return f"{name} {value:g}"
    if isinstance(value, str):
        return value
    return f"{name} {literal(value)}"


def bytes_text(value: float) -> str:
    """Return ``1 MiB`` or ``1.5 KiB``: no more digits than there are."""
    number, _, unit = show(value, "bytes").replace("\u202f", "").partition("\u00a0")
    if number == "1024" and unit == "KiB":
        number, unit = "1", "MiB"
    return f"{float(number):g} {unit}"
