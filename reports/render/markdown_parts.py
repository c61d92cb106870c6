"""Pieces of Markdown: text that shows as it is, lists, tables."""

from __future__ import annotations

import re
from collections.abc import Sequence


def escape(text: str) -> str:
    """Return ``text`` so that Markdown and HTML inside Markdown show it as it is, on one line."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|#~$])", r"\\\1", " ".join(text.split()))


def bullets(items: Sequence[str]) -> str:
    """Return a list; the items are Markdown already."""
    return "\n".join(f"- {item}" for item in items)


def table_text(head: Sequence[str], body: Sequence[Sequence[str]], numbers_from: int = 99) -> str:
    """Return a table of plain text, with columns of numbers from one on."""
    rules = ["---:" if i >= numbers_from else "---" for i in range(len(head))]
    lines = [[escape(cell) for cell in head], rules, *([escape(c) for c in row] for row in body)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
