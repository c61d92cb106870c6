"""Doing a run again without losing what it was.

A run that is asked for again is done in ``again`` inside its folder, from its first experience.
When it has a result, that takes the old one's place; until then, and if it fails with an error, the
old result is the run's result. Asking leaves a file in ``again``: whoever does the run next, in
whatever process, does it there, an interrupted one continues, and a failed one is tried again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from cl_strategies.experiment.config.run_config import ExperimentConfig
from cl_strategies.experiment.directory.prediction_log import remove
from cl_strategies.experiment.directory.run_directory import FILES, RunDirectory
from cl_strategies.io.atomic import cannot_write, temporary_prefix, write_text
from cl_strategies.io.links import check_no_link
from cl_strategies.results.record import RunRecord

ASKED = "asked"


def ask(configs: Sequence[ExperimentConfig], out: str | Path) -> None:
    """Ask for these runs to be done again. If the same was asked for before and is not done, what
    is left of it is what is asked for: a command that was killed is given again as it was.

    :raises UserError: if that cannot be written down.
    """
    names = sorted(config.slug for config in configs)
    which = hashlib.sha256("\n".join(names).encode()).hexdigest()
    # There while marks are set: with only some of them, the others would count as done.
    unfinished = Path(out) / "runs" / f".asking-{which[:16]}"
    marks = [RunDirectory(out, config, again=True).path / ASKED for config in configs]
    if not unfinished.exists() and any(_content(mark) == which for mark in marks):
        return
    for left in unfinished.parent.glob(f"{temporary_prefix(unfinished.name)}*"):
        left.unlink(missing_ok=True)
    write_text(unfinished, which)
    for mark in marks:
        check_no_link(mark.parent.parent)
        check_no_link(mark.parent)
        write_text(mark, which)
    try:
        unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(unfinished, error) from error


def is_asked(config: ExperimentConfig, out: str | Path) -> bool:
    """Return whether the run is to be done again, or was and is not in its place yet."""
    again = RunDirectory(out, config, again=True)
    return any(os.path.exists(path) for path in (again.path / ASKED, again.result))


def place_of(out: str | Path, config: ExperimentConfig) -> RunDirectory:
    """Return where the run is to be done now. Only its owner may ask
    (:meth:`~cl_strategies.experiment.directory.run_directory.RunDirectory.owned`).

    :raises UserError: if the folder cannot be written to, or a result in it is damaged.
    """
    top, again = RunDirectory(out, config), RunDirectory(out, config, again=True)
    check_no_link(again.path)
    record = again.record()
    if record is not None and not _failed(record):  # its owner was killed here
        _put_in_place(again, top)
    if (again.path / ASKED).exists():
        again.sweep()
        return again
    if again.path.exists():
        shutil.rmtree(again.path, ignore_errors=True)
    return top


def conclude(place: RunDirectory, out: str | Path, record: RunRecord) -> RunRecord:
    """Write the result of a run, and put it in the place of that of before."""
    record = place.conclude(record)
    if place.again and not _failed(record):
        _put_in_place(place, RunDirectory(out, place.config))
    return record


def last_record(config: ExperimentConfig, out: str | Path) -> RunRecord | None:
    """Return how the run ended when it was done last: the failure of doing it again, or its result.

    :raises UserError: if it is damaged.
    """
    again = RunDirectory(out, config, again=True).record()
    return again or RunDirectory(out, config).record()


def last_stamp(config: ExperimentConfig, out: str | Path) -> int | None:
    """When that was written, in nanoseconds."""
    again = RunDirectory(out, config, again=True).stamp()
    return RunDirectory(out, config).stamp() if again is None else again


def last_progress(config: ExperimentConfig, out: str | Path) -> int:
    """When a checkpoint of the run was last written, in nanoseconds; 0 for never."""
    places = [RunDirectory(out, config, again=again).checkpoint for again in (False, True)]
    return max((path.stat().st_mtime_ns for path in places if path.exists()), default=0)


def _failed(record: RunRecord) -> bool:
    """Return whether it says nothing of the run but that it is to be tried again."""
    return record.error is not None and record.error["kind"] == "error"


def _put_in_place(again: RunDirectory, top: RunDirectory) -> None:
    """Each step may be the last before a kill: the next owner does what is left."""
    try:
        if (again.path / ASKED).exists():  # nothing of the new run is in its place yet
            for name in FILES:
                if not (again.path / name).exists():  # such as a checkpoint that was not possible
                    (top.path / name).unlink(missing_ok=True)
            if not again.predictions.exists():
                remove(top.predictions)
            (again.path / ASKED).unlink()
        if again.predictions.exists():
            remove(top.predictions)
            os.replace(again.predictions, top.predictions)
        for name in FILES:  # the result last
            if (again.path / name).exists():
                os.replace(again.path / name, top.path / name)
        shutil.rmtree(again.path, ignore_errors=True)
    except OSError as error:
        raise cannot_write(top.result, error) from error


def _content(mark: Path) -> str:
    try:
        return mark.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""
