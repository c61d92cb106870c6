"""What a suite may hold, whether a file or code made it; the runs are checked one by one later."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from cl_strategies.errors import UserError
from cl_strategies.validation.plain_data import check_plain, check_table, shown

#: Tables of a single run that a suite has for all runs, and its elements for some.
SHARED = ("train", "model", "quantization", "continual_evaluation", "run", "logging")
_NAME = re.compile(r"\w[\w .+-]{0,99}")


def check_name(name: Any) -> None:
    """:raises UserError: unless ``name`` can be the name of one folder, anywhere."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UserError(
            f"suite.name is {shown(name)}: give letters, digits, spaces and any of . _ + - , at "
            "most 100, of which the first is a letter, a digit or _; a folder gets this name"
        )


def check_array(table: str, rows: Any, where: str) -> None:
    """:raises UserError: unless ``rows`` are tables with a name, and tables in the right places.

    :param where: the file, in words.
    """
    if not _is_sequence(rows) or not rows:
        raise UserError(f"{where} needs at least one [[{table}]] with a name")
    check_plain(table, list(rows))
    for row in rows:
        if not isinstance(row, Mapping) or not isinstance(row.get("name"), str):
            raise UserError(f"each [[{table}]] in {where} needs a name")
        check_tables(row, f"[[{table}]] of {where}")
        for name, special in row.get("strategies", {}).items():
            check_table(f"strategies.{name} in [[{table}]] of {where}", special)
            if not isinstance(special.get("name", ""), str):
                raise UserError(
                    f"strategies.{name}.name in [[{table}]] of {where} is "
                    f"{shown(special['name'])}: leave it out, or give the name of a strategy"
                )
            check_tables(special, f"strategies.{name} in [[{table}]] of {where}")


def check_labels(labels: Sequence[Any], where: str) -> None:
    """:raises UserError: unless ``labels`` are different texts."""
    for label in labels:
        if not isinstance(label, str):
            raise UserError(
                f"label in [[strategies]] of {where} must be a text, not {shown(label)}"
            )
    if len(set(labels)) < len(labels):
        raise UserError(
            f"a strategy stands twice in {where}: {', '.join(labels)}; give each a label of its own"
        )


def check_tables(layer: Any, where: str, names: Sequence[str] = (*SHARED, "strategies")) -> None:
    """:raises UserError: unless those of ``names`` that ``layer`` has are tables."""
    for key in names:
        check_table(f"{key} in {where}", layer.get(key, {}))


def check_bits(bits: Any) -> None:
    """:raises UserError: unless ``bits`` are different bit-widths."""
    from cl_strategies.plugins.quantization.functional.rounding import check_bits as check_width

    if not _is_sequence(bits):
        raise UserError(f"suite.bits is {shown(bits)}: give different bit-widths, such as [4, 3]")
    for width in bits:
        check_width(width, name="a number in suite.bits")
    if len(set(bits)) < len(bits):
        raise UserError(f"suite.bits is {shown(bits)}: give different bit-widths, such as [4, 3]")


def check_budgets(budgets: Any) -> None:
    """:raises UserError: unless ``budgets`` are different numbers of bytes."""
    check_plain("suite.mem_bytes", budgets)
    if not _different_integers(budgets, least=1):
        raise UserError(f"suite.mem_bytes is {shown(budgets)}: give different numbers of bytes")


def check_metrics(metrics: Any) -> None:
    """:raises UserError: unless ``metrics`` are texts."""
    if not _is_sequence(metrics) or not all(isinstance(name, str) for name in metrics):
        raise UserError(
            f"suite.metrics is {shown(metrics)}: give names, such as "
            '["ece", "my_metrics:worst_task"]'
        )


def check_hours(hours: Mapping[str, Any]) -> None:
    """:param hours: by the key that they have in a suite; ``None`` where nothing is said.
    :raises UserError: unless at most one is given, and is a number above 0.
    """
    given = {key: value for key, value in hours.items() if value is not None}
    for key, value in given.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1e12:
            raise UserError(f"suite.{key} is {shown(value)}: give a number of hours above 0")
    if len(given) > 1:
        raise UserError(
            f"suite.{' and suite.'.join(given)} are both given: say one of them, for what the "
            "runs are to be computed on"
        )


def check_seeds(what: str, seeds: Any) -> None:
    """:raises UserError: unless ``seeds`` are different non-negative integers."""
    if not _different_integers(seeds, least=0):
        raise UserError(
            f"{what} is {shown(seeds)}: give different integers from 0, such as [0, 1, 2]"
        )
    check_plain(what, list(seeds))


def check_orders(what: str, orders: Any) -> None:
    """:raises UserError: unless ``orders`` are different seeds or names."""
    if _is_sequence(orders) and orders and all(isinstance(name, str) for name in orders):
        if len(set(orders)) < len(orders):
            raise UserError(
                f"{what} is {shown(orders)}: an order stands twice, give different ones"
            )
    else:
        check_seeds(what, orders)


def _is_sequence(values: Any) -> bool:
    return isinstance(values, Sequence) and not isinstance(values, (str, bytes))


def _different_integers(values: Any, least: int) -> bool:
    if not _is_sequence(values):
        return False
    integers = all(type(value) is int and value >= least for value in values)
    return integers and len(set(values)) == len(values)
