"""The command that exports a finished run, and checks the file."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from cl_strategies.cli.console import answer
from cl_strategies.cli.exit_codes import EXIT_OK
from cl_strategies.results.formatting import MISSING, show

if TYPE_CHECKING:
    from cl_strategies.results.export import Exported


def export(options: argparse.Namespace) -> int:
    """Write the quantized network of a run, and print what the file computes."""
    from cl_strategies.experiment.deployment.export_run import export_run

    found = export_run(
        options.run,
        task=options.task,
        check=options.check,
        data_root=options.data_root,
        batch=options.batch,
    )
    if found.checked is not None:
        answer(_table(found.checked))
    answer(str(found.file))
    return EXIT_OK


def _table(found: Exported) -> str:
    lines = [
        ("accuracy of the file", show(found.accuracy, "fraction")),
        ("accuracy in PyTorch", show(found.torch_accuracy, "fraction")),
        ("equal predictions", f"{show(found.agreement, 'fraction')} of {found.samples}"),
        ("", ""),
        (f"{found.runtime}, batch {found.batch}", "size, time, time of it over that of the file"),
        ("exported file", f"{show(found.bytes, 'bytes')}, {_milliseconds(found.seconds)}"),
    ]
    for name in (*found.twin_bytes, *found.missing):
        if name in found.missing:
            lines.append((name, f"{MISSING} {found.missing[name]}"))
        else:
            size, seconds = show(found.twin_bytes[name], "bytes"), found.twin_seconds[name]
            ratio = f"{found.speedups[name]:.2f}"
            lines.append((name, f"{size}, {_milliseconds(seconds)}, {ratio}"))
    text = "\n".join(f"{name:34} {value}".rstrip() for name, value in lines)
    return text.replace("\N{NO-BREAK SPACE}", " ")


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.3g} ms"
