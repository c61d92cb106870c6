"""The installed torch, and how to install beside it without replacing it.

Each release of torchvision wants one release of torch. Avalanche needs torchvision and names no
version, so that pip takes the newest, and with it another torch. Naming the torch that is there in
the same command makes pip look for the torchvision that fits.
"""

from __future__ import annotations

import re
import shlex
from importlib.metadata import PackageNotFoundError, requires, version


def installed(name: str) -> str | None:
    """Return the version of a package, ``None`` if it is not there."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def install_command(*packages: str) -> str:
    """Return a command that installs ``packages`` and leaves an installed torch as it is."""
    torch = installed("torch")
    pinned = [f"torch=={torch}"] if torch and "torch" not in packages else []
    return shlex.join(["pip", "install", *packages, *pinned])


def wanted_torch() -> str | None:
    """Return the one release of torch that the installed torchvision was built for, if it names
    one."""
    try:
        requirements = requires("torchvision") or []
    except PackageNotFoundError:
        return None
    found = (re.match(r"torch\s*\(?==\s*([\w.]+)", requirement) for requirement in requirements)
    return next((match[1] for match in found if match), None)
