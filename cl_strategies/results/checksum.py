"""Checksums inside JSON objects: a digit that flipped on a disk is still a digit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

FIELD = "checksum"


def checksum(data: Mapping[str, Any]) -> str:
    """SHA-256 of the fields of an object, whatever their order and spacing in the file."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def sealed(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``data`` with the checksum of all its fields as one more."""
    # As the next reader will decode it: tuples as lists, for example.
    return {**data, FIELD: checksum(json.loads(json.dumps(data)))}


def unsealed(data: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """Return ``data`` without its checksum, and whether the checksum was there and fits."""
    fields = {key: value for key, value in data.items() if key != FIELD}
    return fields, data.get(FIELD) == checksum(fields)
