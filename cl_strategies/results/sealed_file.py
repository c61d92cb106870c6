"""Files beside a result that follow from it, with a checksum and a version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cl_strategies.errors import UserError
from cl_strategies.io.bounded import MAX_BYTES, read_regular
from cl_strategies.results.checksum import unsealed
from cl_strategies.results.json_text import decoded


def read_sealed(
    path: Path, *, schema: int, remedy: str, limit: int = MAX_BYTES
) -> dict[str, Any] | None:
    """Read the content of a file that was written with a checksum.

    :param schema: version of the file; it is not in what is returned.
    :param remedy: what to do with a file that is damaged.
    :param limit: bytes that the file may have.
    :returns: ``None`` if there is no file.
    :raises UserError: if it is damaged, or of another version.
    """
    try:
        data = decoded(read_regular(path, limit))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); {remedy}") from error
    fields, whole = unsealed(data) if isinstance(data, dict) else ({}, False)
    if not whole or fields.pop("schema", None) != schema:
        raise UserError(f"{path}: its content does not fit its checksum or its version; {remedy}")
    return fields
