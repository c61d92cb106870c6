"""Build the wheel, install it in a fresh environment, and use it outside the source tree.

An editable install hides what a wheel lacks: a sub-package that is not listed, a template
that is not packaged. mypy runs here too, since it cannot follow an editable install that
maps folders.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def call(*command: str | Path, cwd: Path) -> None:
    print(
        "$", " ".join(Path(str(part)).name if "/" in str(part) else str(part) for part in command)
    )
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run([str(part) for part in command], cwd=cwd, check=True, env=environment)


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        call(
            sys.executable, "-m", "build", "--wheel", "--outdir", folder / "dist", ROOT, cwd=folder
        )
        (wheel,) = (folder / "dist").glob("*.whl")
        venv.create(folder / "venv", with_pip=True)
        python = folder / "venv" / "bin" / "python"
        pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        pinned = ("-c", ROOT / "constraints.txt")
        call(*pip, *pinned, "torch", cwd=folder)
        call(*pip, *pinned, wheel, "mypy", "types-tqdm", cwd=folder)
        check = "import cl_strategies, pathlib; print(pathlib.Path(cl_strategies.__file__).parent)"
        call(python, "-c", check, cwd=folder)
        call(folder / "venv" / "bin" / "cl-strategies", "doctor", cwd=folder)
        call(folder / "venv" / "bin" / "cl-strategies", "list", "strategies", cwd=folder)
        call(
            folder / "venv" / "bin" / "cl-strategies",
            *("run", "--benchmark", "split-digits", "--strategy", "si", "--out", folder / "out"),
            cwd=folder,
        )
        config = ("--config-file", ROOT / "pyproject.toml")
        call(python, "-m", "mypy", *config, "-p", "cl_strategies", cwd=folder)


if __name__ == "__main__":
    main()
