"""Two checkouts are never mixed."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cl_strategies.checkout import check_one_checkout, is_checkout

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("cl_strategies", "plugins", "benchmarks", "reports")


def copied(folder: Path) -> Path:
    for name in PARTS:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def python(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.skipif(not is_checkout(ROOT), reason="this is no checkout")
def test_the_own_checkout_is_whole():
    check_one_checkout(ROOT / "cl_strategies")


def test_python_started_in_another_checkout_refuses_to_mix(tmp_path):
    other = copied(tmp_path)
    ended = python(other, "import cl_strategies")
    assert ended.returncode == 1
    assert f"comes from the checkout {other}" in ended.stderr
    assert "make install" in ended.stderr


def test_doctor_tells_of_another_checkout_in_the_current_folder(tmp_path, monkeypatch, capsys):
    from cl_strategies.cli.doctor import diagnose

    monkeypatch.chdir(copied(tmp_path))
    assert f"{tmp_path} is another checkout" in diagnose()[0]


def test_an_installed_package_is_no_checkout(tmp_path):
    (tmp_path / "cl_strategies").mkdir()
    (tmp_path / "cl_strategies" / "__init__.py").write_text("")
    assert not is_checkout(tmp_path)
    check_one_checkout(tmp_path / "cl_strategies")
