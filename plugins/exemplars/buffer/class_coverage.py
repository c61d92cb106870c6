"""Warn that a memory is too small to hold each class."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

from cl_strategies.validation.plain_data import shown


class Coverage:
    """Warn once when classes that were seen have no sample in a memory.

    :ivar told: Whether the warning has been given.
    """

    def __init__(self) -> None:
        self.told = False

    def check(self, seen: Iterable[int], held: Iterable[int], size: str) -> None:
        """Warn if a class is missing.

        :param seen: Classes of all data so far.
        :param held: Classes that the memory has samples of.
        :param size: Size of the memory, in words for the warning.
        """
        seen, missing = set(seen), sorted(set(seen) - set(held))
        if missing and not self.told:
            self.told = True
            warnings.warn(
                f"a memory of {size} holds none of {len(missing)} of the {len(seen)} classes so "
                f"far ({shown(missing)}), which will not be replayed: make it larger",
                stacklevel=2,
            )
