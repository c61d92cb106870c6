"""Labels of own data, which may be names: class ids, the order of classes, test samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cl_strategies.benchmarks.core.selection import permutation, train_test_rows
from cl_strategies.errors import UserError, unknown_name
from cl_strategies.validation.plain_data import shown

Ids = npt.NDArray[np.int64]
_LISTED = 5  # names in a message


def class_names(labels: Sequence[Any], where: str) -> list[str]:
    """Return the names of all classes, sorted: as numbers if all of them are whole numbers.

    :param labels: of all training samples: text or whole numbers.
    :param where: what has them, for messages.
    :raises UserError: if there are fewer than two classes.

    >>> class_names(["b", "a", "b"], "the table"), class_names([10, 9], "the array")
    (['a', 'b'], ['9', '10'])
    """
    names = sorted({str(label) for label in labels}, key=_sorting(labels))
    if len(names) < 2:
        only = f"the class {names[0]!r} only" if names else "no class"
        raise UserError(f"{where} has {only}: give samples of at least two classes")
    return names


def _sorting(labels: Sequence[Any]) -> Any:
    try:
        numbers = {str(label): int(str(label)) for label in labels}
    except ValueError:
        return str
    return lambda name: (numbers[name], name)


def as_names(labels: Any, where: Any) -> list[str]:
    """Return each label as text.

    :param labels: text or whole numbers, in any sequence.
    :param where: returns what a message calls the sample at a position.
    :raises UserError: for a label that is missing, or neither text nor a whole number.
    """
    values = labels.tolist() if hasattr(labels, "tolist") else list(labels)
    names = []
    for row, label in enumerate(values):
        value = label.item() if hasattr(label, "item") and np.size(label) == 1 else label
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # of a column of numbers in which one is missing
        if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
            raise UserError(
                f"{where(row)} has the label {shown(value)}: give the name of its class, or a "
                "whole number"
            )
        names.append(str(value))
    return names


def numbered(labels: Sequence[str], names: Sequence[str], where: Any) -> Ids:
    """Return the class id of each label: the position of its name in ``names``.

    :param where: returns what a message calls the sample at a position.
    :raises UserError: for a label that is not among ``names``.
    """
    position = {name: number for number, name in enumerate(names)}
    for row, label in enumerate(labels):
        if label not in position:
            raise UserError(
                f"{where(row)} has the label {label!r}, which no training sample has: the "
                f"classes are {listed(names)}; add training samples of it, or take it out"
            )
    return np.array([position[label] for label in labels], dtype=np.int64)


def ordered(given: Any, names: Sequence[str]) -> tuple[int, ...]:
    """Return class ids in the order in which they are cut into tasks.

    :param given: a seed, the names or the ids of all classes, or ``None``.
    :raises UserError: for an unknown name, or if a class is missing or stands twice.
    """
    if isinstance(given, Sequence) and all(isinstance(name, str) for name in given):
        position = {name: number for number, name in enumerate(names)}
        for name in given:
            if name not in position:
                raise unknown_name("class in class_order", name, names)
        missing = [name for name in names if name not in given]
        if missing or len(given) > len(names):
            what = f"{listed(missing)} is missing" if missing else "a class stands twice"
            raise UserError(f"class_order: {what}; name each of the {len(names)} classes once")
        return tuple(position[name] for name in given)
    return permutation("class_order", given, len(names))


def held_out(labels: Ids, names: Sequence[str], share: float, where: str) -> tuple[Ids, Ids]:
    """Return rows for training and for testing, chosen at random within each class.

    :param share: of each class, for testing; at least one sample.
    :raises UserError: if a class has too few samples.
    """
    train, test = train_test_rows(labels, share, least=1)
    for number in sorted(set(range(len(names))) - set(labels[train].tolist())):
        count = int((labels == number).sum())
        raise UserError(
            f"{where}: the class {names[number]!r} has {count} sample(s), too few for training "
            f"and testing with test_fraction = {share:g}: add some, or give test data apart"
        )
    return train, test


def check_tested(labels: Ids, names: Sequence[str], where: str) -> None:
    """:raises UserError: unless every class is among the labels of the test samples."""
    missing = sorted(set(range(len(names))) - set(labels.tolist()))
    if missing:
        raise UserError(
            f"{where} has no sample of {listed([names[number] for number in missing])}: every "
            "class needs test samples"
        )


def listed(names: Sequence[str]) -> str:
    """Return a few of ``names`` in words."""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(map(repr, names[:_LISTED])) + more
