"""Write the tables of metrics into their page: ``python docs/metric_tables.py``.

A table stands between ``<!-- metrics: GROUP -->`` and ``<!-- end -->``; it has the definitions of
that group in :data:`cl_strategies.plugins.metrics.functional.DEFINITIONS`.
"""

from __future__ import annotations

import re
from pathlib import Path

from cl_strategies.plugins.metrics.functional import DEFINITIONS

PAGE = Path(__file__).parent / "metrics.md"
MARKS = re.compile(r"(<!-- metrics: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
BETTER = {"higher": "↑", "lower": "↓", "zero": "0", "none": "none"}


def table(group: str) -> str:
    """The table of a group, one row for each key."""
    rows = ["| Key | Function | Best | Definition | Undefined | Source |", "|" + " --- |" * 6]
    for known in DEFINITIONS.values():
        if known.group == group:
            cells = [f"`{known.key}`", f"`{known.function}`", BETTER[known.direction]]
            cells += [known.meaning, known.undefined, known.source]
            rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def filled(text: str) -> str:
    """``text`` with the present tables between its marks."""
    return MARKS.sub(lambda match: match[1] + table(match[2]) + match[3], text)


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text()))
