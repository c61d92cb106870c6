"""Metrics that no one has defined here: functions of a run, by name or as they are.

A function takes the :class:`~cl_strategies.results.record.RunRecord` of a finished run and returns
a number, NaN or ``None`` where it is undefined. Its name is the key. A package offers it under an
entry point of the group ``cl_strategies.metrics``, whose name is the key then.
"""

from __future__ import annotations

import inspect
import math
import numbers
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

from cl_strategies.errors import UserError
from cl_strategies.errors.boundary import Boundary
from cl_strategies.errors.failure import Failure
from cl_strategies.own_code import find, is_reference
from cl_strategies.reports.derived.keys import KEYS
from cl_strategies.results.derived import DIRECTIONS, KEY, UNITS, DerivedMetric
from cl_strategies.results.fields import LARGEST
from cl_strategies.results.metrics import METRICS
from cl_strategies.results.record import RunRecord
from cl_strategies.validation.plain_data import shown

GROUP = "cl_strategies.metrics"
_MARK = "__cl_strategies_metric__"
Function = Callable[[RunRecord], Any]


def own_metric(*, unit: str = "fraction", direction: str = "higher") -> Callable[[Any], Any]:
    """Say how a function that is a metric is shown; without it, it is a number without direction.

    :param unit: ``"fraction"`` (shown in percent), ``"number"`` or ``"count"``.
    :param direction: ``"higher"`` or ``"lower"`` is better, ``"zero"`` is best, or ``"none"``.
    :raises UserError: for another unit or direction.
    """
    for what, value, known in (("unit", unit, UNITS), ("direction", direction, DIRECTIONS)):
        if value not in known:
            raise UserError(f"{what} is {shown(value)}: give one of {', '.join(known)}")

    def marked(function: Any) -> Any:
        setattr(function, _MARK, (unit, direction))
        return function

    return marked


@dataclass(frozen=True, kw_only=True)
class OwnMetric:
    """A function of a run, and the key of its value.

    :param meaning: the first line of its docstring.
    """

    key: str
    function: Function
    unit: str
    direction: str
    meaning: str

    def of(self, record: RunRecord) -> DerivedMetric:
        """Return its value for a finished run.

        :raises UserError: if it fails, or returns no number.
        """
        try:
            with Boundary():
                value = self.function(record)
        except (Failure, UserError) as error:
            raise UserError(f"the metric {self.key} failed ({error}): mend it") from error
        return DerivedMetric(
            value=self._number(value),
            unit=self.unit,
            direction=self.direction,
            n=len(record.task_order),
            undefined_reason=None if _is_defined(value) else f"{self.key} returned {value}",
            definition_version=1,
            meaning=self.meaning,
        )

    def _number(self, value: Any) -> float | None:
        if value is not None and not (isinstance(value, numbers.Real) or _is_scalar(value)):
            raise UserError(
                f"the metric {self.key} returned {shown(value)}: return a number, or NaN or None "
                "where it is undefined"
            )
        if not _is_defined(value):
            return None
        if abs(number := float(value)) > LARGEST:
            raise UserError(f"the metric {self.key} returned {number}: return a finite number")
        return number


def find_metric(name: Any) -> OwnMetric | None:
    """Return what ``name`` is: a function, ``module:attribute``, or the name of an entry point.

    :returns: ``None`` for other text.
    :raises UserError: if it cannot be found or called, or has a key that is taken or is none.
    """
    if is_reference(name):
        return _metric(find(name), name.rpartition(":")[2].rpartition(".")[2])
    if isinstance(name, str):
        for point in entry_points(group=GROUP):
            if point.name == name:
                return _metric(find(point.value), name)
        return None
    return _metric(name, getattr(name, "__name__", ""))


def _metric(function: Any, key: str) -> OwnMetric:
    if not callable(function) or inspect.isclass(function):
        raise UserError(f"the metric is {shown(function)}: give a function of a run")
    if not KEY.fullmatch(key):
        raise UserError(
            f"{key!r} is no name of a metric: give the function a name of small letters, digits "
            "and underscores"
        )
    if key in KEYS or key in METRICS:
        raise UserError(f"the metric {key} is there already: give the function another name")
    unit, direction = getattr(function, _MARK, ("number", "none"))
    meaning = (inspect.getdoc(function) or "").partition("\n")[0]
    return OwnMetric(
        key=key, function=function, unit=unit, direction=direction, meaning=meaning[:200]
    )


def _is_scalar(value: Any) -> bool:
    return getattr(value, "ndim", None) == 0


def _is_defined(value: Any) -> bool:
    return value is not None and not math.isnan(float(value))
