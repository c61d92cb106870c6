"""What is said of a table in one place, and then in another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def laid_over(table: str, below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``below`` with ``above``, which wins, in its place.

    Epochs that ``above`` gives for all experiences are those of the first one, too.

    :param table: the name of both.

    >>> laid_over("train", {"epochs": 170, "first_epochs": 200, "lr": 0.1}, {"epochs": 1})
    {'epochs': 1, 'lr': 0.1}
    """
    anew = table == "train" and "epochs" in above
    kept = {key: value for key, value in below.items() if not (anew and key == "first_epochs")}
    return {**kept, **above}
