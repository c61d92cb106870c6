"""The state of an interrupted run: tensors and plain data, never pickled objects."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from cl_strategies.atomic import atomic_write
from cl_strategies.errors import UserError

FORMAT = 1


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write ``state`` (tensors and plain data) to ``path``, atomically."""
    with atomic_write(path) as file:
        torch.save({"format": FORMAT, **state}, file)


def load_checkpoint(path: Path, *, device: str | torch.device = "cpu") -> dict[str, Any]:
    """Read what :func:`save_checkpoint` wrote; no code in the file is ever run.

    :raises UserError: if the file is damaged, of another format, or holds objects.
    """
    remedy = "delete it, and the run starts again from its first experience"
    try:
        with zipfile.ZipFile(path) as archive:  # every record carries a CRC-32
            damaged = archive.testzip()
        if damaged is not None:
            raise UserError(f"the checkpoint {path} is damaged (in {damaged}): {remedy}")
        state = torch.load(path, map_location=device, weights_only=True)
    except (zipfile.BadZipFile, RuntimeError, EOFError, OSError, KeyError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"the checkpoint {path} cannot be read ({error}): {remedy}") from error
    except pickle.UnpicklingError as error:
        raise UserError(
            f"the checkpoint {path} holds something other than tensors and plain data, "
            f"and was not loaded: {remedy}"
        ) from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise UserError(f"the checkpoint {path} was written by another version: {remedy}")
    return state
