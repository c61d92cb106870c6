"""The errors a user can cause; the command line answers each with exit code 2."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from cl_strategies.errors.text import shortened


class UserError(ValueError):
    """Bad input: the message says what was wrong, what was expected and what to do."""


class DataMissingError(UserError):
    """A data set is not on this machine, or a file of it is damaged: names the folders or the
    file, and how to get it."""


class StorageError(UserError):
    """A file could not be written: no room, no right to, no such folder."""


class DivergedError(RuntimeError):
    """Training produced a loss or a weight that is not finite."""


def unknown_name(what: str, name: str, known: Iterable[str]) -> UserError:
    """Return an error for a misspelt ``name`` that offers the nearest known ones."""
    known = sorted(known)
    name = shortened(name)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known)}."
    return UserError(f"unknown {what} {name!r}: {hint}")
