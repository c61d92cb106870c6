"""JSON that people can read and compare line by line."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

_DEEPEST = 50  # far from where the functions that walk through the value would end


def decoded(raw: bytes) -> Any:
    """Return the value in a JSON file.

    :raises ValueError: if it is not JSON in UTF-8, has text that UTF-8 cannot hold or a number
        that is not finite, or is nested too deep.
    """
    try:
        data = json.loads(
            raw.decode("utf-8"),
            parse_constant=_not_finite,
            parse_float=_finite,
            parse_int=_integer,
        )
    except RecursionError as error:
        raise _too_deep() from error
    if raw.count(b"[") + raw.count(b"{") > _DEEPEST:  # fewer cannot be nested as deep
        _check_depth(data)
    if b"\\u" in raw:  # JSON can spell halves of characters, which nothing can write down
        json.dumps(data, ensure_ascii=False).encode()
    return data


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        _not_finite(text)
    return value


def _integer(text: str) -> int:
    """Return what no floating-point number could hold is refused: every reader computes with
    them."""
    _finite(text)
    return int(text)


def _not_finite(text: str) -> NoReturn:
    shown = text if len(text) <= 24 else f"{text[:21]}..."
    raise ValueError(f"it holds {shown}, which is no finite number")


def _check_depth(data: Any) -> None:
    level = [data]
    for _ in range(_DEEPEST):
        nodes = [node for node in level if isinstance(node, dict | list)]
        if not nodes:
            return
        level = [
            child for node in nodes for child in (node.values() if isinstance(node, dict) else node)
        ]
    raise _too_deep()


def _too_deep() -> ValueError:
    return ValueError(f"it is nested more than {_DEEPEST} deep")


def json_lines(data: dict[str, Any]) -> str:
    """Return ``data`` as JSON with a line for each field of the object, and for each element of a
    field that is a list of lists or of objects.

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
