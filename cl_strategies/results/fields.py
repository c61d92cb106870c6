"""Typed access to the fields of a JSON file, with errors that name the file and the field."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from cl_strategies.errors import UserError
from cl_strategies.validation.plain_data import shown

#: No number of a run is near it, and sums, squares and products of such numbers stay finite.
LARGEST = 1e100
_ADVICE = "Delete its run directory and run it again, or restore the file."


@dataclass(frozen=True)
class Fields:
    """One JSON object that is being read.

    :param values: the decoded object.
    :param source: the file's name, for messages.
    :param prefix: dotted name of the object inside the file, ``""`` for the file itself.
    """

    values: Mapping[str, Any]
    source: str
    prefix: str = ""

    def fail(self, key: str, expected: str) -> NoReturn:
        """:raises UserError: always: ``key`` is not as ``expected``."""
        name = f"{self.prefix}.{key}" if self.prefix else key
        found = shown(self.values[key]) if key in self.values else "nothing"
        raise UserError(
            f"{self.source}: field {name!r} must be {expected}, found {found}. {_ADVICE}"
        )

    def only(self, known: tuple[str, ...], *, optional: tuple[str, ...] = ()) -> None:
        """:raises UserError: for a missing key, or one neither ``known`` nor ``optional``."""
        for key in known:
            if key not in self.values:
                self.fail(key, "present")
        known += optional
        for key in self.values:
            if key not in known:
                self.fail(key, f"absent (known fields: {', '.join(known)})")

    def text(self, key: str) -> str:
        """Return a string."""
        value = self.values.get(key)
        if not isinstance(value, str):
            self.fail(key, "text")
        return value

    def integer(self, key: str) -> int:
        """Return an integer; ``true`` and ``false`` are none."""
        value = self.values.get(key)
        if not isinstance(value, int) or isinstance(value, bool):
            self.fail(key, "an integer")
        return value

    def table(self, key: str) -> Fields:
        """Return a nested object."""
        value = self.values.get(key)
        if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
            self.fail(key, "a table with text keys")
        return Fields(value, self.source, f"{self.prefix}.{key}" if self.prefix else key)

    def sequence(self, key: str) -> tuple[Any, ...]:
        """Return a list."""
        value = self.values.get(key)
        if not isinstance(value, list | tuple):
            self.fail(key, "a list")
        return tuple(value)

    def number(self, key: str, low: float = -LARGEST, high: float = LARGEST) -> float | None:
        """Return a number in ``[low, high]`` or ``null``; NaN reads as ``null``."""
        return self._number(key, self.values.get(key), "", low, high)

    def numbers(
        self, key: str, *, high: float = LARGEST, longest: int | None = None
    ) -> tuple[float | None, ...]:
        """Return a list of numbers or ``null`` in ``[0, high]``, at most ``longest`` of them."""
        values = self.sequence(key)
        if longest is not None and len(values) > longest:
            self.fail(key, f"at most {longest} numbers, one for each task")
        return tuple(self._number(key, v, f"[{i}]", 0.0, high) for i, v in enumerate(values))

    def rows(
        self, key: str, *, columns: int, high: float = LARGEST
    ) -> tuple[tuple[float | None, ...], ...]:
        """Return a list of rows of ``columns`` numbers or ``null`` in ``[0, high]``."""
        rows = []
        for t, row in enumerate(self.sequence(key)):
            if not isinstance(row, list | tuple) or len(row) != columns:
                self.fail(key, f"rows of {columns} numbers, one for each task; row {t} is not")
            rows.append(
                tuple(self._number(key, v, f"[{t}][{i}]", 0.0, high) for i, v in enumerate(row))
            )
        return tuple(rows)

    def _number(self, key: str, value: Any, where: str, low: float, high: float) -> float | None:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return None
        if not number or not low <= value <= high:
            inner = Fields({f"{key}{where}": value}, self.source, self.prefix)
            inner.fail(f"{key}{where}", f"a number in [{low:g}, {high:g}] or null")
        result: float | None = value
        return result
