"""JSON that people can read and compare line by line."""

from __future__ import annotations

import json
from typing import Any


def decoded(raw: bytes) -> Any:
    """The value in a JSON file.

    :raises ValueError: if it is not JSON in UTF-8, or has text that UTF-8 cannot hold.
    :raises RecursionError: if it is nested too deep.
    """
    data = json.loads(raw.decode("utf-8"))
    if b"\\u" in raw:  # JSON can spell halves of characters, which nothing can write down
        json.dumps(data, ensure_ascii=False).encode()
    return data


def json_lines(data: dict[str, Any]) -> str:
    """``data`` as JSON with a line for each field of the object, and for each element of a field
    that is a list of lists or of objects.

    :raises ValueError: for NaN or infinity, which JSON does not have.
    """

    def dense(value: Any) -> str:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)

    fields = []
    for key, value in data.items():
        if isinstance(value, list) and value and all(isinstance(v, list | dict) for v in value):
            elements = ",\n  ".join(dense(element) for element in value)
            fields.append(f"{dense(key)}: [\n  {elements}\n ]")
        else:
            fields.append(f"{dense(key)}: {dense(value)}")
    return "{\n " + ",\n ".join(fields) + "\n}\n"
