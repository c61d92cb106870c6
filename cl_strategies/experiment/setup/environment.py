"""Where a run took place: versions, machine, device. Recorded beside every result."""

from __future__ import annotations

import json
import os
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("avalanche-lib", "torch", "torchvision", "numpy", "scikit-learn", "matplotlib")


def describe_environment(device: str) -> dict[str, Any]:
    """Return plain data about this machine; nothing that names its user or its network."""
    from cl_strategies._version import __version__

    return {
        "cl-strategies": __version__,
        "python": platform.python_version(),
        "packages": {name: package_version(name) for name in PACKAGES},
        "platform": platform.platform(),
        "processor": processor_name(),
        "cores": usable_cores(),
        "device": describe_device(device),
        "kernels": describe_kernels(),
    }


def describe_kernels() -> dict[str, Any]:
    """Return what this process computes with on the CPU: the last bits of sums depend on it."""
    import torch

    return {
        "aten": torch.backends.cpu.get_cpu_capability(),
        "mkl": os.environ.get("MKL_CBWR", "AUTO"),
        "onednn": torch.backends.mkldnn.is_available() and torch._C._get_mkldnn_enabled(),
    }


def joined(earlier: Any, now: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the environments of a run that continues in ``now``, each once, in their order.

    :param earlier: those it had before, as a checkpoint has them.
    :raises ValueError: if they are none.
    """
    if not isinstance(earlier, list) or any(type(table) is not dict for table in earlier):
        raise ValueError("its environments are not a list of tables")
    json.dumps(earlier)  # a TypeError, which says so, for anything but plain data
    return [*(table for table in earlier if table != now), now]


@cache
def package_version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def processor_name() -> str:
    """Return the processor's model, as far as the system tells."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def usable_cores() -> int:
    """Return the cores this process may run on (fewer than the machine has, in a container)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def resolve_device(name: str) -> str:
    """Return ``"auto"`` -> ``"cuda"`` where there is one, else ``"cpu"``.

    :raises UserError: if the device does not exist here.
    """
    import torch

    from cl_strategies.errors import UserError

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UserError(f"run.device is {name!r}: give auto, cpu, cuda or cuda:N") from error
    if device.type not in {"cpu", "cuda"}:
        raise UserError(f"run.device is {name!r}: give auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(
            f"run.device is {name!r}, but torch sees {torch.cuda.device_count()} CUDA devices"
        )
    return name


def describe_device(name: str) -> str:
    """Return the device in words."""
    import torch

    return torch.cuda.get_device_name(name) if name.startswith("cuda") else "cpu"
