"""Write the tables of hyper-parameters into the pages: ``python docs/parameters.py``.

A table stands between ``<!-- parameters: NAME -->`` and ``<!-- end -->``, where ``NAME`` is the
name of a strategy, or ``KIND/NAME`` for another kind. It has all options, or those that are listed
behind the name: ``<!-- parameters: KIND/NAME OPTION OPTION -->``. ``options/NAME`` is one of
:data:`GROUPS`, which several things take.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from cl_strategies.cli.describing.parameter_table import markdown_table
from cl_strategies.plugins.quantization.calibration.options import CalibrationOptions
from cl_strategies.registry import registry
from cl_strategies.validation.hyperparameters import parameters_of

MARKS = re.compile(r"(<!-- parameters: ([\w/-]+)((?: \w+)*) -->\n).*?(<!-- end -->)", re.DOTALL)

GROUPS = {"options/calibration": CalibrationOptions}


def filled(text: str) -> str:
    """``text`` with the present tables between its marks."""

    def table(match: re.Match[str]) -> str:
        kind, _, name = match[2].rpartition("/")
        if match[2] in GROUPS:
            known = dict(parameters_of(GROUPS[match[2]]))
        else:
            known = registry(kind or "strategies")[name].parameters()
        chosen = [known[option] for option in match[3].split() or known]
        return match[1] + markdown_table(chosen) + match[4]

    return MARKS.sub(table, text)


def main(folders: Sequence[str]) -> None:
    for folder in folders or [Path(__file__).parent]:
        for page in sorted(Path(folder).rglob("*.md")):
            text = page.read_text()
            if filled(text) != text:
                page.write_text(filled(text))
                print(f"wrote {page}")


if __name__ == "__main__":
    main(sys.argv[1:])
