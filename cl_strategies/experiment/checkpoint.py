"""The state of an interrupted run: tensors and plain data, never pickled objects."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import torch

from cl_strategies.archive import load_stored
from cl_strategies.atomic import atomic_write
from cl_strategies.errors import UserError

FORMAT = 2
REMEDY = "delete it, and the run starts again from its first experience"


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write ``state`` (tensors and plain data) to ``path``, atomically."""
    # By way of memory: torch's own writer does not survive a file that cannot grow.
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, **state}, buffer)
    with atomic_write(path) as file:
        file.write(buffer.getbuffer())


def load_checkpoint(path: Path, *, device: str | torch.device = "cpu") -> dict[str, Any]:
    """Read what :func:`save_checkpoint` wrote; no code in the file is ever run.

    :raises UserError: if the file is damaged, of another format, or holds objects.
    """
    try:
        state = load_stored(path, device=device)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"the checkpoint {path} holds something other than tensors and plain data, "
            f"and was not loaded: {REMEDY}"
        ) from error
    except UserError:
        raise
    except Exception as error:  # a broken archive raises almost anything
        what = str(error) or type(error).__name__
        raise UserError(f"the checkpoint {path} cannot be read ({what}): {REMEDY}") from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise UserError(f"the checkpoint {path} was written by another version: {REMEDY}")
    return state
