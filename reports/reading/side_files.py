"""What lies beside a result: read if it is whole, named if not; the result needs none of it."""

from __future__ import annotations

import io
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from cl_strategies.errors import UserError
from cl_strategies.io.bounded import read_regular
from cl_strategies.plugins.continual_evaluation.trace import Trace
from cl_strategies.plugins.continual_evaluation.trace_file import read_trace
from cl_strategies.results.checksum import unsealed
from cl_strategies.results.derived import fingerprint
from cl_strategies.results.export import Exported, read_export
from cl_strategies.results.json_text import decoded
from cl_strategies.results.record import RunRecord

_MOST_BYTES, _MOST_PIXELS = 2**22, 2**24  # of a picture
ADVICE = "the run itself is in the report. Delete it, or restore it from a copy"
_BROKEN = (OSError, ValueError, RecursionError)  # those of JSON, TOML and Unicode are ValueErrors


def read_environment(path: Path) -> tuple[dict[str, Any], str]:
    """Return ``environment.json`` and what is wrong with it; empty if there is none."""
    try:
        data = decoded(read_regular(path))
    except FileNotFoundError:
        return {}, ""
    except _BROKEN as error:
        return {}, f"cannot be read ({error}); {ADVICE}"
    if not isinstance(data, dict):
        return {}, f"expected a JSON object; {ADVICE}"
    fields, whole = unsealed(data)
    if not whole:
        return {}, f"its content does not fit its checksum; {ADVICE}"
    return fields, ""


def read_picture(path: Path) -> tuple[bytes, str]:
    """Return a PNG file as it is and what is wrong with it; empty if there is none."""
    try:
        data = read_regular(path, _MOST_BYTES)
        with Image.open(io.BytesIO(data), formats=("PNG",)) as picture:
            width, height = picture.size
            if width * height > _MOST_PIXELS:  # who opens the report would have to hold them
                raise ValueError(f"{width}x{height} pixels")
            picture.verify()
    except FileNotFoundError:
        return b"", ""
    except Exception as error:  # decoders raise a dozen unrelated types for bad bytes
        return b"", f"is no picture that could be shown ({type(error).__name__}); {ADVICE}"
    return data, ""


def trace_beside(path: Path) -> tuple[Trace | None, str]:
    """Return ``trace.npz`` and what is wrong with it; ``None`` if there is none."""
    try:
        return read_trace(path), ""
    except FileNotFoundError:
        return None, ""
    except _BROKEN as error:
        return None, f"cannot be read ({error}); {ADVICE}"


def export_beside(folder: Path, record: RunRecord) -> tuple[Exported | None, str]:
    """Return ``export.json`` and what is wrong with it; ``None`` if there is none."""
    try:
        return read_export(folder, fingerprint(record)), ""
    except UserError as error:
        return None, str(error)


def log_faults(folder: Path, record: RunRecord) -> Iterator[tuple[Path, str]]:
    """Files that should say what ``record`` says, and do not."""
    for path, fault in (
        (folder / "config.toml", _config_fault),
        (folder / "metrics.jsonl", _metrics_fault),
    ):
        try:
            what = fault(path, record)
        except FileNotFoundError:
            continue
        except _BROKEN as error:
            what = f"cannot be read ({error})"
        if what:
            yield path, f"{what}; {ADVICE}"


def _config_fault(path: Path, record: RunRecord) -> str:
    expected = {
        name: {key: value for key, value in table.items() if value is not None}
        for name, table in record.config.items()
    }
    found = tomllib.loads(read_regular(path).decode("utf-8"))
    return "" if found == expected else "differs from the configuration in result.json"


def _metrics_fault(path: Path, record: RunRecord) -> str:
    lines = read_regular(path).splitlines()
    for number, line in enumerate(lines, start=1):
        data = decoded(line)
        if not isinstance(data, dict) or not unsealed(data)[1]:
            return f"line {number} does not fit its checksum"
    expected = len(record.seconds["train"])
    if record.finished and len(lines) != expected:
        return f"it has {len(lines)} lines instead of {expected}"
    return ""
