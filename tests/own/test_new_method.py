"""``cl-strategies new method``: what is written works, and nothing is overwritten."""

import subprocess
import sys

import pytest

from cl_strategies import registry as registry_module
from cl_strategies.cli import main
from cl_strategies.registry import registry


@pytest.fixture
def package(own_folder, capsys):
    assert main(["new", "method", "stay-near"]) == 0
    assert "python -m pytest" in capsys.readouterr().out
    return own_folder / "stay-near"


def test_the_new_package_is_found_when_installed(package, monkeypatch):
    """As installed: on the path, with the entry point of its pyproject.toml."""
    import tomllib

    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    ((group, points),) = project["entry-points"].items()
    info = package / "stay_near-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stay-near\nVersion: 0.1.0\n")
    lines = "".join(f"{name} = {value}\n" for name, value in points.items())
    (info / "entry_points.txt").write_text(f"[{group}]\n{lines}")
    monkeypatch.syspath_prepend(package)
    registry_module._shared.cache_clear()
    try:
        entry = registry("strategies")["stay-near"]
        assert entry.defaults() == {"strength": 1.0}
        assert registry("strategies").table_of(entry.load()) == {"name": "stay-near"}
    finally:
        registry_module._shared.cache_clear()
        sys.modules.pop("test_stay_near", None)


@pytest.mark.slow
def test_the_tests_of_the_new_package_pass_in_a_new_process(package):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    subprocess.run(command, cwd=package, check=True, timeout=600)


def test_nothing_is_overwritten(package, capsys):
    (package / "README.md").write_text("mine")
    assert main(["new", "method", "stay-near"]) == 2
    assert "README.md is there already: give another folder" in capsys.readouterr().err
    assert (package / "README.md").read_text() == "mine"
    assert main(["new", "method", "stay-near", "--folder", "elsewhere"]) == 0
    (package.parent / "file").write_text("")
    assert main(["new", "method", "stay-near", "--folder", "file"]) == 2


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ewc", "there is a strategy ewc already"),
        ("Stay-Near", "give small letters and digits"),
        ("stay--near", "give small letters and digits"),
        ("../near", "give small letters and digits"),
        ("a" * 51, "at most 50"),
        ("class", "a word or a module of Python"),
        ("json", "a word or a module of Python"),
        ("numpy", "there is a Python module numpy already"),
    ],
)
def test_a_name_that_cannot_be_is_refused(own_folder, name, message, capsys):
    assert main(["new", "method", name]) == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in own_folder.iterdir()] == ["my_method.py"]
