"""What lies beside a result: read if it is whole, named if not; the result needs none of it."""

from __future__ import annotations

import io
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from cl_strategies.reports.jsontext import decoded
from cl_strategies.reports.schema import RunRecord
from cl_strategies.reports.sealing import unsealed

_LARGEST_PICTURE = 2**22
ADVICE = "the run itself is in the report. Delete it, or restore it from a copy"
_BROKEN = (OSError, ValueError, RecursionError)  # JSON's, TOML's and Unicode's are ValueErrors


def read_environment(path: Path) -> tuple[dict[str, Any], str]:
    """``environment.json`` and what is wrong with it; empty if there is none."""
    if not path.exists():
        return {}, ""
    try:
        data = decoded(path.read_bytes())
    except _BROKEN as error:
        return {}, f"cannot be read ({error}); {ADVICE}"
    if not isinstance(data, dict):
        return {}, f"expected a JSON object; {ADVICE}"
    fields, whole = unsealed(data)
    if not whole:
        return {}, f"its content does not fit its checksum; {ADVICE}"
    return fields, ""


def read_picture(path: Path) -> tuple[bytes, str]:
    """A PNG file as it is and what is wrong with it; empty if there is none."""
    if not path.exists():
        return b"", ""
    try:
        data = path.read_bytes() if path.stat().st_size <= _LARGEST_PICTURE else b""
        with Image.open(io.BytesIO(data), formats=("PNG",)) as picture:
            picture.verify()
    except Exception as error:  # decoders raise a dozen unrelated types for bad bytes
        return b"", f"is no picture that could be shown ({type(error).__name__}); {ADVICE}"
    return data, ""


def log_faults(folder: Path, record: RunRecord) -> Iterator[tuple[Path, str]]:
    """Files that should say what ``record`` says, and do not."""
    for path, fault in (
        (folder / "config.toml", _config_fault),
        (folder / "metrics.jsonl", _metrics_fault),
    ):
        if path.exists() and (what := fault(path, record)):
            yield path, f"{what}; {ADVICE}"


def _config_fault(path: Path, record: RunRecord) -> str:
    expected = {
        name: {key: value for key, value in table.items() if value is not None}
        for name, table in record.config.items()
    }
    try:
        found = tomllib.loads(path.read_bytes().decode("utf-8"))
    except _BROKEN as error:
        return f"cannot be read ({error})"
    return "" if found == expected else "differs from the configuration in result.json"


def _metrics_fault(path: Path, record: RunRecord) -> str:
    try:
        lines = path.read_bytes().splitlines()
        for number, line in enumerate(lines, start=1):
            data = decoded(line)
            if not isinstance(data, dict) or not unsealed(data)[1]:
                return f"line {number} does not fit its checksum"
    except _BROKEN as error:
        return f"cannot be read ({error})"
    expected = len(record.seconds["train"])
    if record.finished and len(lines) != expected:
        return f"it has {len(lines)} lines instead of {expected}"
    return ""
