"""What a wheel would lack, seen before one is built."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FOLDERS = {
    "cl_strategies": "cl_strategies",
    "cl_strategies.plugins": "plugins",
    "cl_strategies.benchmarks": "benchmarks",
    "cl_strategies.reports": "reports",
}


def packages_on_disk():
    for package, folder in FOLDERS.items():
        for init in (ROOT / folder).rglob("__init__.py"):
            parts = init.parent.relative_to(ROOT / folder).parts
            yield ".".join((package, *parts))


def test_every_sub_package_on_disk_is_listed_and_none_else():
    assert sorted(PROJECT["tool"]["setuptools"]["packages"]) == sorted(packages_on_disk())


def test_every_folder_with_modules_is_a_package():
    for folder in FOLDERS.values():
        for module in (ROOT / folder).rglob("*.py"):
            assert (module.parent / "__init__.py").exists(), module


def test_package_data_globs_match_files():
    for package, globs in PROJECT["tool"]["setuptools"]["package-data"].items():
        for glob in globs:
            folders = FOLDERS.values() if package == "*" else [FOLDERS[package]]
            assert any(list((ROOT / folder).rglob(glob)) for folder in folders), (package, glob)


def test_tests_are_no_package_because_avalanche_installs_one_of_that_name():
    assert not list((ROOT / "tests").rglob("__init__.py"))


def test_version_stands_once():
    assert "version" in PROJECT["project"]["dynamic"]
    where = PROJECT["tool"]["setuptools"]["dynamic"]["version"]["attr"]
    assert where == "cl_strategies._version.__version__"


def test_every_table_of_exports_is_in_the_wheel():
    stubs = [stub for folder in FOLDERS.values() for stub in (ROOT / folder).rglob("*.pyi")]
    assert stubs and all(stub.name == "__init__.pyi" for stub in stubs)
    assert PROJECT["tool"]["setuptools"]["package-data"]["*"] == ["*.pyi"]


def test_every_requirement_is_pinned_by_the_constraints():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in lines}
    project = PROJECT["project"]
    wanted = list(project["dependencies"])
    for extra in project["optional-dependencies"].values():
        wanted += extra
    names = {re.split(r"[>\[]", requirement)[0].lower() for requirement in wanted}
    assert names <= pinned, names - pinned


@pytest.mark.parametrize("folder", FOLDERS.values())
def test_user_errors_are_never_asserts(folder):
    for module in (ROOT / folder).rglob("*.py"):
        tree = ast.parse(module.read_text())
        assert not any(isinstance(node, ast.Assert) for node in ast.walk(tree)), module
