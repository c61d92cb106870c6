"""Files of :func:`torch.save`: read if they are whole, and no larger in memory than on the disk."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.torch_version import TorchVersion

from cl_strategies.errors import UserError
from cl_strategies.io.bounded import open_regular


def load_stored(path: Path, *, device: str | torch.device = "cpu") -> Any:
    """Return tensors and plain data; no code in the file is ever run.

    :param device: where its tensors go.
    :raises pickle.UnpicklingError: if it holds anything else.
    :raises zipfile.BadZipFile: if a record is damaged or compressed, it is no archive, or holds
        tensors of more elements than are stored.
    :raises UserError: beside a torch that is too old to load it safely.
    :raises OSError: if it cannot be read; torch raises almost anything for a broken file.
    """
    if TorchVersion(torch.__version__) < "2.6":  # whose weights_only can be got around
        raise UserError(
            f"torch {torch.__version__} can be made to run code by a file that it loads: install "
            "torch 2.6 or newer"
        )
    _check_archive(path)
    content = torch.load(path, map_location=device, weights_only=True)
    _check_tensors(content)
    return content


def _check_archive(path: Path) -> None:
    """Before torch reads it, which looks at neither."""
    with open_regular(path) as file, zipfile.ZipFile(file) as archive:
        # torch compresses nothing; what is compressed could unpack to more than the memory.
        if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
            raise zipfile.BadZipFile("it was not written by cl-strategies: it is compressed")
        damaged = archive.testzip()  # every record carries a CRC-32
    if damaged is not None:
        raise zipfile.BadZipFile(f"its record {damaged} is damaged")


def _check_tensors(content: Any) -> None:
    """Before they are copied: an expanded or a sparse tensor could fill the memory."""
    left, met = [content], set()
    while left:
        part = left.pop()
        if isinstance(part, Mapping | list | tuple):
            if id(part) in met:  # it may even contain itself
                continue
            met.add(id(part))
        if isinstance(part, Mapping):
            left += part.values()
        elif isinstance(part, list | tuple):
            left += part
        elif isinstance(part, Tensor) and not _is_stored(part):
            raise zipfile.BadZipFile("it was not written by cl-strategies: a tensor is not dense")


def _is_stored(tensor: Tensor) -> bool:
    if tensor.layout is not torch.strided or tensor.is_meta or tensor.is_quantized:
        return False
    return tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()
