"""torchvision beside any torch, and an import that costs nothing."""

import subprocess
import sys

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
