"""Run by its path in a fresh process: one command, which may kill itself at a step of writing.

``ARGUMENTS`` are those of the command; ``STEP`` is the call of :mod:`os` and ``AT`` the number of
the call, counted from 0, at which the process kills itself; ``AT`` may be ``None``.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

GIVEN: dict[str, Any] = globals()

if __name__ == "victim":
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(1, 2)
    if GIVEN["AT"] is not None:
        real, left = getattr(os, GIVEN["STEP"]), GIVEN["AT"]

        def deadly(*arguments: object, **options: object) -> object:
            global left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **options)

        setattr(os, GIVEN["STEP"], deadly)
    from cl_strategies.cli import main

    sys.exit(main(GIVEN["ARGUMENTS"]))
