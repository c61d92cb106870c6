"""The kernels of a run with ``run.portable``: the same on every x86-64 processor.

ATen and MKL choose kernels by the processor's instructions, and those add in different orders, so
that the last bits of a sum depend on the processor; training makes percents of them. Environment
variables choose kernels that every x86-64 processor has. They are read once, when torch computes
for the first time, so a process must be *started* with them
(the executors do). oneDNN and NNPACK, which also look at the sizes of
caches, are switched off; convolutions then are products of matrices by MKL.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from cl_strategies.errors import UserError

#: What a process must be started with.
VARIABLES = {"ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "COMPATIBLE"}


@contextmanager
def started(portable: bool) -> Iterator[None]:
    """Processes that start meanwhile have the variables, if ``portable``."""
    before = {name: os.environ.get(name) for name in VARIABLES} if portable else {}
    if portable:
        os.environ.update(VARIABLES)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def is_active() -> bool:
    """Return whether this process was started with the variables."""
    import torch

    given = all(os.environ.get(name) == value for name, value in VARIABLES.items())
    return given and torch.backends.cpu.get_cpu_capability() == "DEFAULT"


def check_machine() -> None:
    """:raises UserError: if nothing makes the numbers of this machine those of others."""
    import torch

    if platform.machine().lower() not in {"x86_64", "amd64"}:
        raise UserError(
            f"run.portable gives equal numbers on x86-64 processors, and this is "
            f"{platform.machine()}: leave it out"
        )
    if not torch.backends.mkl.is_available():
        raise UserError(
            "run.portable needs a torch that computes with MKL, as the wheels of PyPI for x86-64 "
            "do: install one of them, or leave run.portable out"
        )


@contextmanager
def kernels(portable: bool) -> Iterator[None]:
    """Compute with the kernels that every x86-64 processor has, if ``portable``.

    :raises UserError: if this process cannot: it was not started with the variables.
    """
    with ExitStack() as stack:
        if portable:
            import torch

            check_machine()
            if not is_active():
                variables = " ".join(f"{name}={value}" for name, value in VARIABLES.items())
                raise UserError(
                    f"run.portable needs a process that was started with {variables}: set them "
                    "before Python starts, or let `cl-strategies run` or `compare` do it"
                )
            for read, write in (
                (torch._C._get_mkldnn_enabled, torch._C._set_mkldnn_enabled),
                (torch._C._get_nnpack_enabled, torch._C._set_nnpack_enabled),
            ):
                stack.callback(write, read())
                write(False)
        yield
