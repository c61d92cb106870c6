"""The state of an interrupted run: tensors and plain data, never pickled objects."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import torch

from cl_strategies.errors import UserError
from cl_strategies.io.atomic import atomic_write
from cl_strategies.io.packing import pack, unpack
from cl_strategies.io.tensors import load_stored

FORMAT = 2
_OWN = ("format", "tensors")
REMEDY = "delete it, and the run starts again from its first experience"


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write ``state`` (tensors and plain data) to ``path``, atomically."""
    # By way of memory: torch's own writer does not survive a file that cannot grow.
    buffer = io.BytesIO()
    content, tensors = pack({key: part for key, part in state.items() if key not in _OWN})
    torch.save({"format": FORMAT, "tensors": tensors, **content}, buffer)
    with atomic_write(path) as file:
        file.write(buffer.getbuffer())


def load_checkpoint(path: Path, *, device: str | torch.device = "cpu") -> dict[str, Any]:
    """Read what :func:`save_checkpoint` wrote; no code in the file is ever run.

    :raises UserError: if the file is damaged, of another format, or holds objects.
    """
    try:
        stored = load_stored(path, device=device)
        if not isinstance(stored, dict) or stored.get("format") != FORMAT:
            raise UserError(f"the checkpoint {path} was written by another version: {REMEDY}")
        content = {key: part for key, part in stored.items() if key not in _OWN}
        state = unpack(content, stored["tensors"], most=path.stat().st_size, device=device)
        if not isinstance(state, dict):
            raise ValueError("it holds no state")
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
    return {"format": FORMAT, **state}
