"""The hyper-parameters of a registered name, as people read them."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import Any

from cl_strategies.validation.parameter import Parameter


def markdown_table(parameters: Iterable[Parameter]) -> str:
    """Return the table of a page: name, default, values, meaning; a sentence if there are none."""
    rows = [
        f"| `{p.name}` | `{written(p.default)}` | {_values(p)} | {_meaning(p)} |"
        for p in parameters
    ]
    if not rows:
        return "It has none.\n"
    head = ["| name | default | values | meaning |", "|---|---|---|---|"]
    return "\n".join([*head, *rows]) + "\n"


def text_table(parameters: Iterable[Parameter], table: str, *, width: int = 100) -> str:
    """Return the same for a terminal, each option as ``--set`` takes it.

    :param table: the table of a configuration that they belong to.
    """
    lines = []
    for p in parameters:
        default = "(not set)" if p.default is None else written(p.default)
        default = "(must be set)" if p.required else default
        lines.append(
            f"    {table}.{p.name} = {default}" + (f"  ({_values(p)})" if p.values else "")
        )
        if p.meaning:
            margin = " " * 8
            lines.append(
                textwrap.fill(_meaning(p), width, initial_indent=margin, subsequent_indent=margin)
            )
    return "\n".join(lines)


def written(value: Any) -> str:
    """Return a default as a configuration file writes it; ``none`` is written by leaving it out."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(written, value))}]"
    return repr(value)


def _values(parameter: Parameter) -> str:
    return parameter.values + (f", in {parameter.unit}" if parameter.unit else "")


def _meaning(parameter: Parameter) -> str:
    text = parameter.meaning.replace("``", "`")
    if parameter.equation:
        text = f"{text.rstrip('.')} ({parameter.equation})."
    older = [f"`{name}`" for name in parameter.aliases]
    return text + (f" Older name: {', '.join(older)}." if older else "")
