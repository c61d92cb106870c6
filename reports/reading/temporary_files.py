"""Half-written files of reports whose process was killed."""

from __future__ import annotations

import re
import stat
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from cl_strategies.io.atomic import temporary_prefix

# Shards write reports into one folder at the same time, and nothing says whose file is whose. A
# file that is being written lives for seconds; clocks of machines that share a folder may differ.
_STALE_SECONDS = 3600.0
_RANDOM = r"[a-z0-9_]{8}"  # what atomic_write adds


def sweep(folder: Path, names: Iterable[str]) -> None:
    """Remove temporary files of ``names`` that nobody has written to for an hour.

    What cannot be removed stays: it disturbs nobody, and the report is worth more.
    """
    prefixes = "|".join(re.escape(temporary_prefix(name)) for name in names)
    temporary = re.compile(f"({prefixes}){_RANDOM}")
    oldest = time.time() - _STALE_SECONDS
    with suppress(OSError):
        for path in folder.iterdir():
            if temporary.fullmatch(path.name):
                with suppress(OSError):
                    found = path.lstat()
                    if stat.S_ISREG(found.st_mode) and found.st_mtime < oldest:
                        path.unlink()
