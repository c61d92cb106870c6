"""Build sdist and wheel, install the wheel in a fresh environment, and use it outside the tree.

The wheel is built from the source distribution, which must have every file of the project.
An editable install hides what a wheel lacks: a sub-package that is not listed, a template
that is not packaged. mypy runs here too, since it cannot follow an editable install that
maps folders. And pip must leave the torch alone that is there already, by the README's command.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def call(*command: str | Path, cwd: Path) -> None:
    print(
        "$", " ".join(Path(str(part)).name if "/" in str(part) else str(part) for part in command)
    )
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run([str(part) for part in command], cwd=cwd, check=True, env=environment)


def check_torch_stays(python: Path, wheel: Path, folder: Path) -> None:
    """Ask pip what it would install by the README's command; nothing is downloaded but metadata.

    :raises SystemExit: if that is another torch, or CUDA.
    """
    show = (python, "-c", "import importlib.metadata as m; print(m.version('torch'))")
    done = subprocess.run([str(part) for part in show], check=True, capture_output=True, text=True)
    torch = done.stdout.strip()
    report = folder / "report.json"
    pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    call(*pip, "--dry-run", "--report", report, wheel, f"torch=={torch}", cwd=folder)
    planned = {
        item["metadata"]["name"].lower(): item["metadata"]["version"]
        for item in json.loads(report.read_text())["install"]
    }
    wrong = [name for name in planned if name in ("torch", "triton") or "nvidia" in name]
    if wrong or "torchvision" not in planned:
        sys.exit(f"beside torch {torch}, pip would install {wrong or planned}")
    print(f"beside torch {torch}, pip takes torchvision {planned['torchvision']} and no torch")


def check_sdist(sdist: Path) -> None:
    """Compare a source distribution with the files of the project.

    :raises SystemExit: if it lacks one, or has files that are built.
    """
    with tarfile.open(sdist) as files:
        packed = {name.partition("/")[2] for name in files.getnames()}
    command = ["git", "ls-files"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    tracked = set(listed.stdout.splitlines()) - {".gitignore"}  # none without git
    missing = sorted(tracked - packed)
    built = sorted(name for name in packed if "__pycache__" in name or name.endswith(".pyc"))
    if missing or built:
        sys.exit(f"{sdist.name} lacks {missing} and has {built}: mend MANIFEST.in")
    print(f"{sdist.name} has the {len(tracked)} files of the project")


def check_typed(wheel: Path) -> None:
    """Look for ``py.typed`` where folders of the source tree became packages.

    :raises SystemExit: if one is missing.
    """
    names = zipfile.ZipFile(wheel).namelist()
    for package in ("", "plugins/", "benchmarks/", "reports/"):
        if f"cl_strategies/{package}py.typed" not in names:
            sys.exit(f"{wheel.name} lacks cl_strategies/{package}py.typed")


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        # A wheel takes along what an earlier build left there of modules that are gone.
        shutil.rmtree(ROOT / "build", ignore_errors=True)
        call(sys.executable, "-m", "build", "--outdir", folder / "dist", ROOT, cwd=folder)
        (sdist,) = (folder / "dist").glob("*.tar.gz")
        (wheel,) = (folder / "dist").glob("*.whl")
        check_sdist(sdist)
        check_typed(wheel)
        venv.create(folder / "venv", with_pip=True)
        python = folder / "venv" / "bin" / "python"
        pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        pinned = ("-c", ROOT / "constraints.txt")
        call(*pip, *pinned, "torch", cwd=folder)
        check_torch_stays(python, wheel, folder)
        call(*pip, *pinned, wheel, "mypy", "types-tqdm", cwd=folder)
        check = "import cl_strategies, pathlib; print(pathlib.Path(cl_strategies.__file__).parent)"
        call(python, "-c", check, cwd=folder)
        call(python, "-c", "import avalanche, cl_strategies", cwd=folder)  # in any order
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
