"""What is said about torch, torchvision, and installing beside them."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from cl_strategies.cli import doctor, torch_release

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def with_versions(monkeypatch: pytest.MonkeyPatch):
    """Pretend that these are installed, and that torchvision wants that torch."""

    def pretend(wants: str = "", **versions: str) -> None:
        def version(name: str) -> str:
            if name not in versions:
                raise PackageNotFoundError(name)
            return versions[name]

        def requires(name: str) -> list[str]:
            version(name)
            return ["numpy", *([f"torch{wants}"] if wants else []), "pillow>=5.3"]

        monkeypatch.setattr(torch_release, "version", version)
        monkeypatch.setattr(torch_release, "requires", requires)

    return pretend


def test_a_command_names_the_torch_that_is_there(with_versions) -> None:
    with_versions(torch="2.13.0+cpu")
    command = torch_release.install_command("cl-strategies[ray]")
    assert command == "pip install 'cl-strategies[ray]' torch==2.13.0+cpu"
    assert torch_release.install_command("torch") == "pip install torch"


def test_a_command_names_no_torch_where_there_is_none(with_versions) -> None:
    with_versions()
    assert torch_release.install_command("numpy") == "pip install numpy"


@pytest.mark.parametrize("torch", ["2.13.0", "2.13.0+cpu"])
def test_doctor_tells_how_to_keep_a_pair_that_fits(with_versions, torch: str) -> None:
    with_versions("==2.13.0", torch=torch, torchvision="0.28.0")
    finding = doctor._torch_kept()
    assert not finding.remedy and f"end pip's command with torch=={torch}" in finding.state


def test_doctor_names_a_pair_that_does_not_fit(with_versions) -> None:
    with_versions("==2.14.1", torch="2.13.0", torchvision="0.29.1")
    finding = doctor._torch_kept()
    assert "torchvision 0.29.1 was built for torch 2.14.1, not 2.13.0" in finding.state
    assert finding.remedy.startswith("pip install torchvision torch==2.13.0,")


@pytest.mark.parametrize(
    "versions", [{}, {"torch": "2.13.0"}, {"torch": "2.13.0", "torchvision": "0.28.0"}]
)
def test_doctor_does_not_guess_a_pair(with_versions, versions: dict[str, str]) -> None:
    with_versions(**versions)
    assert "unknown" in doctor._torch_kept().state


def test_the_readme_has_a_command_that_keeps_torch() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("pip install . ")]
    assert '"torch==$(python -c ' in line and 'version("torch")' in line
