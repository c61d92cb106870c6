"""What is installed here, what is broken, and how to fix it."""

from __future__ import annotations

import importlib
import os
import platform
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

from cl_strategies import compat
from cl_strategies._version import __version__
from cl_strategies.checkout import is_checkout
from cl_strategies.cli.torch_release import install_command, installed, wanted_torch
from cl_strategies.validation.errors import UserError


@dataclass(frozen=True)
class Diagnosis:
    """One line of the diagnosis; ``remedy`` is empty where nothing is broken.

    :param fatal: whether cl-strategies cannot work until it is mended.
    """

    what: str
    state: str
    remedy: str = ""
    fatal: bool = False

    def __str__(self) -> str:
        mark = "ok " if not self.remedy else ("BAD" if self.fatal else "-- ")
        remedy = f"\n      -> {self.remedy}" if self.remedy else ""
        return f"  {mark} {self.what:16} {self.state}{remedy}"


def diagnose() -> tuple[str, bool]:
    """The diagnosis as text, and whether everything that is needed works."""
    sections = {
        "packages": list(_packages()),
        "third parties": list(_third_parties()),
        "machine": list(_machine()),
        "data": list(_data()),
    }
    lines = []
    for title, findings in sections.items():
        if not findings:
            continue
        lines += [f"{title}:", *map(str, findings)]
    broken = [f for findings in sections.values() for f in findings if f.fatal and f.remedy]
    lines.append(
        f"{len(broken)} thing(s) to mend, marked BAD above."
        if broken
        else "Everything needed works."
    )
    return "\n".join(lines), not broken


def _packages() -> Iterator[Diagnosis]:
    from cl_strategies.experiment.setup.environment import PACKAGES, package_version

    yield _own_package()
    yield Diagnosis("python", platform.python_version())
    for name in PACKAGES:
        yield _package(name, package_version(name))
    yield _torch_kept()
    ray = package_version("ray")
    optional = f"optional: {install_command('cl-strategies[ray]')}"
    yield Diagnosis("ray", ray or "not installed", "" if ray else optional)
    patched = compat.patched_operators()
    yield Diagnosis(
        "patched",
        f"torchvision operators {', '.join(patched)}: schemas only, for the compiled ones do not "
        "load beside this torch; torchvision.io's codecs are not available, Pillow is used"
        if patched
        else "nothing",
    )


def _own_package() -> Diagnosis:
    """Where this package is imported from, and whether the current folder holds another."""
    root = Path(__file__).resolve().parent.parent
    where = (
        f"{__version__}, the checkout {root}" if is_checkout(root) else f"{__version__}, installed"
    )
    here = Path.cwd()
    if not is_checkout(here) or here.samefile(root):
        return Diagnosis("cl-strategies", where)
    return Diagnosis(
        "cl-strategies",
        where,
        f"{here} is another checkout, which Python started here would find first and refuse to mix "
        "with this one: install it in an environment of its own, with make install",
    )


def _torch_kept() -> Diagnosis:
    """Whether torchvision was built for the torch that is here, and what keeps pip from another."""
    torch, wanted = installed("torch"), wanted_torch()
    if torch is None or wanted is None:
        return Diagnosis(
            "torch's pair", "unknown: torch or torchvision is missing, or names no pair"
        )
    if torch.partition("+")[0] != wanted:
        return Diagnosis(
            "torch's pair",
            f"torchvision {installed('torchvision')} was built for torch {wanted}, not {torch}",
            f"{install_command('torchvision')}, which takes the torchvision of this torch",
        )
    return Diagnosis(
        "torch's pair",
        f"torchvision {installed('torchvision')} was built for this torch; to install more and "
        f"keep both, end pip's command with torch=={torch}",
    )


def _third_parties() -> Iterator[Diagnosis]:
    """What other packages register, and what of it cannot be used."""
    from cl_strategies.registry import KINDS, registry

    for kind in KINDS:
        count, skipped = len(entry_points(group=f"cl_strategies.{kind}")), registry(kind).skipped
        if count > len(skipped):
            yield Diagnosis(kind, f"{count - len(skipped)} registered by other packages")
        for message in skipped:
            yield Diagnosis(kind, "registered by another package, skipped", message)


def _package(name: str, version: str | None) -> Diagnosis:
    module = {"avalanche-lib": "avalanche", "scikit-learn": "sklearn"}.get(name, name)
    install = install_command(name)
    if version is None:
        return Diagnosis(name, "not installed", install, fatal=True)
    try:
        importlib.import_module(module)
    except UserError as error:
        return Diagnosis(name, f"{version}, cannot be used", str(error), fatal=True)
    except Exception as error:  # whatever a broken package raises, the user should read
        return Diagnosis(
            name, f"{version}, import fails: {error}", f"reinstall it: {install}", fatal=True
        )
    return Diagnosis(name, version)


def _machine() -> Iterator[Diagnosis]:
    from cl_strategies.experiment.setup.environment import processor_name, usable_cores

    yield Diagnosis("processor", f"{processor_name()}, {usable_cores()} usable cores")
    yield _device()
    for what, folder in (("home", Path.home()), ("here", Path.cwd()), ("temporary", _temporary())):
        writable = os.access(folder, os.W_OK)
        yield Diagnosis(
            what,
            f"{folder} {'is' if writable else 'is not'} writable",
            "" if writable else _WRITABLE[what],
            fatal=what == "temporary" and not writable,
        )


_WRITABLE = {
    "home": "Avalanche keeps ~/.avalanche/config.json: set HOME to a writable folder",
    "here": "give run and compare a writable folder with --out",
    "temporary": "set TMPDIR to a writable folder",
}


def _temporary() -> Path:
    return Path(tempfile.gettempdir())


def _device() -> Diagnosis:
    try:
        import torch
    except ImportError:
        return Diagnosis("device", "unknown: torch is missing")
    if torch.cuda.is_available():
        return Diagnosis("device", f"cuda ({torch.cuda.get_device_name()})")
    return Diagnosis("device", "cpu")


def _data() -> Iterator[Diagnosis]:
    from cl_strategies.benchmarks import check_datasets

    try:
        statuses = check_datasets()
    except UserError as error:
        yield Diagnosis("folders", "cannot be looked into", str(error))
        return
    for status in statuses:
        state = f"found in {status.found_at}" if status.present else "not here"
        yield Diagnosis(status.name, state, "" if status.present else status.how_to_get)
