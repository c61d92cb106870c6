"""torchvision beside any torch, and an import that costs nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch


def python(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_torchvision_imports_after_our_package():
    assert python("import cl_strategies, torchvision; print(torchvision.__name__)") == "torchvision"


def test_importing_our_package_imports_neither_torch_nor_avalanche():
    code = (
        "import cl_strategies, cl_strategies.cli, sys\n"
        "print({'torch', 'avalanche'} & {*sys.modules})"
    )
    assert python(code) == "set()"


def test_schemas_are_defined_only_where_the_compiled_operators_do_not_load():
    code = (
        "import cl_strategies.compat as c, torchvision\n"
        "from torchvision.extension import _has_ops\n"
        "print(bool(c.patched_operators()), _has_ops())"
    )
    patched, whole = python(code).split()
    assert (patched == "True") == (whole == "False")


def test_a_working_torchvision_is_left_alone(monkeypatch, tmp_path):
    from cl_strategies import compat

    monkeypatch.setattr(compat, "_operators_load", lambda folder: True)
    monkeypatch.setattr(
        compat, "_define_schemas", lambda: (_ for _ in ()).throw(RuntimeError("patched"))
    )
    finder = compat._TorchvisionFinder()
    monkeypatch.setattr(sys, "meta_path", [finder, *sys.meta_path])
    assert finder.find_spec("torchvision") is None
    assert finder not in sys.meta_path


def test_nms_has_a_schema_after_import():
    import torchvision  # noqa: F401

    assert hasattr(torch.ops.torchvision, "nms")


@pytest.mark.parametrize("damage", ["broken", "a file"])
def test_a_configuration_that_avalanche_cannot_use_is_named(damage: str, tmp_path: Path) -> None:
    folder = tmp_path / ".avalanche"
    if damage == "broken":
        folder.mkdir()
        (folder / "config.json").write_text("{")
    else:
        folder.touch()
    code = "import cl_strategies\ntry:\n    import avalanche\nexcept ValueError as e:\n    print(e)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"{folder / 'config.json'}, which cannot be used" in done.stdout
