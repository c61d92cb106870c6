"""One checkout at a time: the package and its three sub-packages beside it belong together.

In an editable install ``plugins``, ``benchmarks`` and ``reports`` are found through the checkout
that was installed, but ``cl_strategies`` in the folder where Python was started, if it has one.
Started in the root of another clone, half of the code would be of that clone and half of the first.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

BESIDE = ("plugins", "benchmarks", "reports")


def check_one_checkout(package: Path) -> None:
    """Refuse to import parts of two checkouts.

    :param package: the folder of ``cl_strategies``.
    :raises ImportError: if one of the sub-packages that lie beside it is taken from elsewhere, or
        not found at all.
    """
    root = package.parent
    if not is_checkout(root):
        return
    for name in BESIDE:
        spec = importlib.util.find_spec(f"cl_strategies.{name}")
        found = Path(spec.origin).parent if spec and spec.origin else None
        if found is None or not found.samefile(root / name):
            where = "nowhere" if found is None else f"in {found}"
            raise ImportError(
                f"cl_strategies comes from the checkout {root}, but its part {name!r} is found "
                f"{where}: two checkouts would be mixed. Install this one in an environment of its "
                "own (make install, or pip install -e . in its root), or start Python elsewhere"
            )


def is_checkout(root: Path) -> bool:
    """Return whether ``root`` is that of a checkout, in which the sub-packages lie beside the
    package."""
    needed = ("cl_strategies", *BESIDE)
    files = [root / "pyproject.toml", *(root / name / "__init__.py" for name in needed)]
    return all(file.is_file() for file in files)
