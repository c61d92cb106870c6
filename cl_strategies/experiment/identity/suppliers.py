"""Which packages supply a run's code, and in which version or source they are here.

A released version says which code it is; a checkout and an editable install do not, nor does a
package that anyone may change in place. So this package and those of third parties count by their
version and a hash of their source, Avalanche and torch by their versions alone unless their install
is editable.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import (
    Distribution,
    PackageNotFoundError,
    distribution,
    entry_points,
    packages_distributions,
)
from pathlib import Path
from typing import Any

from cl_strategies.experiment.config.run_config import ExperimentConfig
from cl_strategies.experiment.identity.typed_code import typed_source
from cl_strategies.registry import KINDS, registry

OWN = "cl-strategies"
#: What every run is computed with, by the name that it is installed by: its module.
ALWAYS = {"avalanche-lib": "avalanche", "torch": "torch", "torchvision": "torchvision"}
#: Of this package what no number depends on.
_WITHOUT_NUMBERS = ("reports", "cli.py", "console.py", "doctor.py", "printable.py", "__main__.py")
_DIGITS = 12
#: The script that was started, here and in the processes of ``multiprocessing``.
_MAIN, _MAIN_ELSEWHERE = "__main__", "__mp_main__"


def named_suppliers(config: ExperimentConfig) -> set[str]:
    """Return modules of third parties in which the registry finds what ``config`` names."""
    names = [
        ("strategies", config.strategy.name),
        ("benchmarks", config.benchmark.name),
        ("models", config.model.name),
    ]
    if config.quantization is not None:
        names.append(("quantizers", config.quantization.quantizer))
    codecs = registry("codecs")
    for value in config.strategy.options.values():
        if isinstance(value, str) and value.partition(":")[0] in codecs:
            names.append(("codecs", value.partition(":")[0]))
    return third_parties(registry(kind)[name].factory.partition(":")[0] for kind, name in names)


def used_suppliers(strategy: Any) -> set[str]:
    """Return modules of third parties whose classes a strategy, its plugins and its model are
    of."""
    objects = [strategy, *strategy.plugins, *strategy.model.modules()]
    return third_parties(kind.__module__ for one in objects for kind in type(one).__mro__)


def third_parties(modules: Iterable[str]) -> set[str]:
    """Return the packages of ``modules`` that are neither ours nor Avalanche's, torch's or
    Python's."""
    own = {"cl_strategies", *ALWAYS.values(), *sys.stdlib_module_names} - {_MAIN}
    named = {_MAIN if name == _MAIN_ELSEWHERE else name for name in modules}
    return {_root(name) for name in named if name.partition(".")[0] not in own}


def describe(modules: Iterable[str]) -> dict[str, str]:
    """Version, hash of the source, or both, of this package, of Avalanche and torch, and of the
    third parties' ``modules``, by name."""
    from cl_strategies import __version__

    found = {OWN: f"{__version__} source {_own_source()}"}
    found |= {name: _installed(name, module) for name, module in ALWAYS.items()}
    return found | {module: _third_party(module) for module in sorted(modules)}


def _installed(name: str, module: str) -> str:
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return _source(module)
    return f"{found.version} {_source(module)}" if _editable(found) else found.version


def _editable(found: Distribution) -> bool:
    origin = json.loads(found.read_text("direct_url.json") or "{}")
    return bool(origin.get("dir_info", {}).get("editable"))


def _third_party(module: str) -> str:
    if module == _MAIN and getattr(sys.modules[_MAIN], "__file__", None) is None:
        return typed_source()
    version = _version(module)
    return _source(module) if version is None else f"{version} {_source(module)}"


def _version(module: str) -> str | None:
    top = module.partition(".")[0]
    for kind in KINDS:
        for point in entry_points(group=f"cl_strategies.{kind}"):
            if point.dist is not None and point.module.partition(".")[0] == top:
                return point.dist.version
    for name in _distributions().get(top, ()):
        return distribution(name).version
    return None


@cache
def _distributions() -> Mapping[str, list[str]]:
    return packages_distributions()  # reads the list of files of every package: once


def _root(module: str) -> str:
    """Return the package that is hashed as a whole: the top of ``module``, or ``module`` itself if
    that has no file of its own, as namespaces have none."""
    top = module.partition(".")[0]
    spec = _spec(top)
    return top if spec is not None and spec.origin is not None else module


def _spec(module: str) -> Any:
    loaded = getattr(sys.modules.get(module), "__spec__", None)
    try:
        return loaded or importlib.util.find_spec(module)
    except (ImportError, AttributeError, ValueError):  # no such package, or no package
        return None


def _source(module: str) -> str:
    """In words: a hash of the source of a module, or of all modules of a package."""
    loaded = frozenset(
        (name, id(getattr(found, "__spec__", None)))
        for name, found in list(sys.modules.items())
        if name == module or name.startswith(f"{module}.")
    )
    known = _SOURCES.get(module)
    # What runs is what was loaded: it changes when it is imported anew, not with the file.
    if known is None or not loaded or known[0] != loaded:
        known = _SOURCES[module] = (loaded, _hashed(module))
    return known[1]


_SOURCES: dict[str, tuple[frozenset[tuple[str, int]], str]] = {}


def _hashed(module: str) -> str:
    spec = _spec(module)
    origin = getattr(spec, "origin", None) or getattr(sys.modules.get(module), "__file__", None)
    if origin is None or not Path(origin).is_file():
        return "not installed" if spec is None and module not in sys.modules else "source unknown"
    file = Path(origin)
    if file.name == "__init__.py":
        return f"source {_hash(_python_files(file.parent, ''))}"
    return f"source {_hash({file.name: file})}"


@cache
def _own_source() -> str:
    import cl_strategies
    from cl_strategies import benchmarks, plugins

    files: dict[str, Path] = {}
    for part in (cl_strategies, plugins, benchmarks):  # beside each other, or one in the other
        folder = Path(str(part.__file__)).parent
        files |= _python_files(folder, part.__name__.partition(".")[2])
    return _hash(
        {n: path for n, path in files.items() if n.partition("/")[0] not in _WITHOUT_NUMBERS}
    )


def _python_files(folder: Path, prefix: str) -> dict[str, Path]:
    """Each Python file below ``folder``, by its path from the top of the package."""
    return {
        "/".join((*filter(None, [prefix]), *path.relative_to(folder).parts)): path
        for path in folder.rglob("*.py")
    }


def _hash(files: Mapping[str, Path]) -> str:
    found = hashlib.sha256()
    for name, path in sorted(files.items()):
        content = path.read_bytes().replace(b"\r\n", b"\n")  # as checkouts on Windows have them
        found.update(f"{name} {len(content)}\n".encode() + content)
    return found.hexdigest()[:_DIGITS]
