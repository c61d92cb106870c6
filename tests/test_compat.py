"""torchvision beside any torch, and an import that costs nothing."""

import subprocess
import sys
import types
from pathlib import Path

import torch

from cl_strategies.compat import patched_operators


def python(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_our_package_imports_neither_torch_nor_avalanche():
    code = (
        "import cl_strategies, cl_strategies.cli.app, sys\n"
        "print({'torch', 'avalanche'} & {*sys.modules})"
    )
    assert python(code) == "set()"


def test_torchvision_imports_and_schemas_are_defined_only_where_its_operators_do_not_load():
    """In this process, whose first import was that of our package (``conftest.py``)."""
    from torchvision.extension import _has_ops

    assert bool(patched_operators()) != _has_ops()


def test_the_order_of_imports_is_free():
    """Torch calls the repair by an entry point; torchvision imports torch in its first line."""
    assert python("import avalanche, cl_strategies; print('both')") == "both"


def test_a_torchvision_that_is_being_imported_is_mended_at_once(monkeypatch):
    from cl_strategies import compat

    begun = types.ModuleType("torchvision")
    begun.__path__ = ["somewhere"]
    mended = []
    monkeypatch.setitem(sys.modules, "torchvision", begun)
    monkeypatch.delitem(sys.modules, "torchvision.extension", raising=False)
    monkeypatch.setattr(compat, "_mend", mended.append)
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    compat.install()
    assert mended == [["somewhere"]]


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


def test_a_configuration_that_avalanche_cannot_use_is_named(tmp_path: Path) -> None:
    """One that is broken, and a file in the place of its folder; in one process, as imports take
    seconds."""
    homes = [tmp_path / "broken", tmp_path / "a file"]
    (homes[0] / ".avalanche").mkdir(parents=True)
    (homes[0] / ".avalanche" / "config.json").write_text("{")
    homes[1].mkdir()
    (homes[1] / ".avalanche").touch()
    code = (
        "import os, cl_strategies\n"
        f"for home in {[str(home) for home in homes]}:\n"
        "    os.environ['HOME'] = home\n"
        "    try:\n        import avalanche\n    except ValueError as e:\n        print(e)"
    )
    lines = python(code).splitlines()
    assert len(lines) == len(homes)
    for home, line in zip(homes, lines, strict=True):
        assert f"{home / '.avalanche' / 'config.json'}, which cannot be used" in line
