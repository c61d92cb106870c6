"""torchvision beside a CPU-only torch, and Avalanche beside a home folder that it cannot use.

The Linux wheels of torchvision are built for CUDA. Beside a torch without CUDA their
compiled library does not load, and ``import torchvision`` stops with ``operator
torchvision::nms does not exist``, because two Python modules describe operators that
nobody defined. Defining their schemas is enough for transforms, models and data sets;
the compiled image codecs (``torchvision.io``) stay unavailable.

``import torch`` calls :func:`install` through the entry point ``torch.backends``, by which torch
loads what extends it, so that the order of imports is free: whoever needs torchvision imports
torch first, and torchvision itself does so in its first line. Nothing is added to the start of
Python, and where torch is told not to look (``TORCH_DEVICE_BACKEND_AUTOLOAD=0``) importing this
package does the same.

Avalanche reads or writes ``~/.avalanche/config.json`` when it is imported, and stops with whatever
that raises. Here it stops with an error that names the file and says what to do.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

_READS_CONFIG = "avalanche.benchmarks.datasets.dataset_utils"
_SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
_libraries: list[Any] = []  # a torch.library.Library undoes its definitions when collected


def patched_operators() -> tuple[str, ...]:
    """Return names of the torchvision operators whose schemas were defined here, if any."""
    return tuple(_SCHEMAS) if _libraries else ()


def install() -> None:
    """Mend torchvision and Avalanche when they are first imported; costs nothing until then."""
    begun = sys.modules.get("torchvision")
    if begun is not None and "torchvision.extension" not in sys.modules:
        _mend(begun.__path__)  # its first line imported torch, which called this
    # A solver that Avalanche needs for GEM only warns on import that it has no backends.
    warnings.filterwarnings("ignore", message="no QP solver found")
    finders: dict[str, type[_ConfigFinder | _TorchvisionFinder]] = {
        _READS_CONFIG: _ConfigFinder,
        "torchvision": _TorchvisionFinder,
    }
    for name, kind in finders.items():
        waiting = any(isinstance(finder, kind) for finder in sys.meta_path)
        if name not in sys.modules and not waiting:
            sys.meta_path.insert(0, kind())


class _TorchvisionFinder:
    """Looks before ``import torchvision`` runs, and leaves the import itself to others."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> None:
        if name != "torchvision":
            return
        try:
            spec = importlib.machinery.PathFinder.find_spec(name, path)
            if spec and spec.submodule_search_locations and importlib.util.find_spec("torch"):
                _mend(spec.submodule_search_locations)
        finally:
            sys.meta_path.remove(self)  # type: ignore[arg-type]


class _ConfigFinder:
    """Finds Avalanche's module of configuration, and explains what its import raises."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != _READS_CONFIG:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return spec
        run = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            try:
                run(module)
            except (OSError, ValueError, RecursionError) as error:
                from cl_strategies.errors import (
                    UserError,  # when needed: imports begin here
                )

                file = Path(os.path.expanduser("~/.avalanche/config.json"))
                raise UserError(
                    f"Avalanche keeps its configuration in {file}, which cannot be used ({error}): "
                    "delete it if it is there, or set HOME to a folder that you may write to"
                ) from error

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _mend(folders: Sequence[str]) -> None:
    """Define the schemas if torchvision's library in the first of ``folders`` does not load."""
    if not _operators_load(Path(folders[0])):
        _define_schemas()


def _operators_load(folder: Path) -> bool:
    """Return whether torchvision's compiled operators load beside the installed torch."""
    import torch

    libraries = [path for path in folder.glob("_C*") if path.suffix in {".so", ".pyd", ".dylib"}]
    for library in libraries:
        try:
            torch.ops.load_library(str(library))
        except OSError:
            continue
    return hasattr(torch.ops.torchvision, "nms")


def _define_schemas() -> None:
    import torch

    library = torch.library.Library("torchvision", "DEF")
    for schema in _SCHEMAS.values():
        library.define(schema)
    _libraries.append(library)
