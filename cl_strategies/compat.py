"""torchvision beside a CPU-only torch.

The Linux wheels of torchvision are built for CUDA. Beside a torch without CUDA their
compiled library does not load, and ``import torchvision`` stops with ``operator
torchvision::nms does not exist``, because two Python modules describe operators that
nobody defined. Defining their schemas is enough for transforms, models and data sets;
the compiled image codecs (``torchvision.io``) stay unavailable.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

_SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
_libraries: list[Any] = []  # a torch.library.Library undoes its definitions when collected


def patched_operators() -> tuple[str, ...]:
    """Names of the torchvision operators whose schemas were defined here, if any."""
    return tuple(_SCHEMAS) if _libraries else ()


def install() -> None:
    """Mend torchvision when it is first imported; costs nothing until then."""
    if "torchvision" not in sys.modules and not any(
        isinstance(finder, _TorchvisionFinder) for finder in sys.meta_path
    ):
        sys.meta_path.insert(0, _TorchvisionFinder())


class _TorchvisionFinder:
    """Looks before ``import torchvision`` runs, and leaves the import itself to others."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> None:
        if name != "torchvision":
            return
        sys.meta_path.remove(self)  # type: ignore[arg-type]
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        folders = spec.submodule_search_locations if spec else None
        if folders and importlib.util.find_spec("torch") and not _operators_load(Path(folders[0])):
            _define_schemas()


def _operators_load(folder: Path) -> bool:
    """Whether torchvision's compiled operators load beside the installed torch."""
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
