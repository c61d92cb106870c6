"""Whether a file of :func:`torch.save` is whole, and no larger in memory than on the disk."""

from __future__ import annotations

import zipfile
from pathlib import Path

from cl_strategies.regular import open_regular


def check_stored(path: Path) -> None:
    """Check the archive before torch reads it, which looks at neither.

    :raises zipfile.BadZipFile: if a record is damaged or compressed, or it is no archive.
    :raises OSError: if it cannot be read.
    """
    with open_regular(path) as file, zipfile.ZipFile(file) as archive:
        # torch compresses nothing; what is compressed could unpack to more than the memory.
        if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
            raise zipfile.BadZipFile("it was not written by cl-strategies: it is compressed")
        damaged = archive.testzip()  # every record carries a CRC-32
    if damaged is not None:
        raise zipfile.BadZipFile(f"its record {damaged} is damaged")
