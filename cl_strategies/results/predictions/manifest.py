"""``predictions/run.json``: what the records of a run hold; written last."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cl_strategies.errors import UserError
from cl_strategies.io.atomic import write_text
from cl_strategies.io.bounded import read_regular
from cl_strategies.results.checksum import checksum, sealed, unsealed
from cl_strategies.results.fields import Fields
from cl_strategies.results.json_text import decoded, json_lines
from cl_strategies.results.predictions.row import HOLDS

#: The folder in that of a run, and that of the streams of all runs beside ``runs``.
FOLDER, STREAMS = "predictions", "streams"
FILE, SCHEMA = "run.json", 1
REMEDY = "delete the folder, and do the run again with --rerun if its predictions are wanted"
_NAME = re.compile(r"row_(init|[0-9]{3,6})\.npz")


@dataclass(frozen=True, kw_only=True)
class RowFile:
    """A file of a row.

    :ivar name: as :func:`~cl_strategies.results.predictions.row.row_name` makes it.
    :ivar bytes: its length.
    :ivar sha256: of its content.
    :ivar holds: one of :data:`~cl_strategies.results.predictions.row.HOLDS`.
    """

    name: str
    bytes: int
    sha256: str
    holds: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What the records of a run hold.

    :ivar config_hash: the run.
    :ivar stream: hash of the stream.
    :ivar task_order: original index of the experience at each position.
    :ivar setting: which accuracies say something before an experience is trained
        (``forward_transfer_gap``).
    :ivar competing: classes that predictions are among: ``"seen"``, ``"all"`` or ``"task"``.
    :ivar classes: number of logits.
    :ivar task_of_class: position of the experience of each class; ``None`` where they share classes
        or the task is told.
    :ivar limit: bytes that the rows may have together.
    :ivar files: the rows, the initial one first.
    :ivar problem: why there is none; ``""`` if there are rows.
    """

    config_hash: str
    stream: str
    task_order: Sequence[int]
    setting: str
    competing: str
    classes: int
    task_of_class: Sequence[int] | None
    limit: int
    files: Sequence[RowFile]
    problem: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the content."""
        return checksum(json.loads(json.dumps(asdict(self))))

    def write(self, folder: Path) -> None:
        """:raises StorageError: if it cannot be written."""
        data = {"schema": SCHEMA, **asdict(self)}
        write_text(folder / FILE, json_lines(sealed(data)))


def read_manifest(folder: Path) -> Manifest:
    """Read ``run.json`` of a folder of predictions.

    :raises FileNotFoundError: if it is not there.
    :raises UserError: if it is damaged.
    """
    path = folder / FILE
    try:
        data = decoded(read_regular(path, 2**24))
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}): {REMEDY}") from error
    fields, whole = unsealed(data) if isinstance(data, dict) else ({}, False)
    if not whole or fields.pop("schema", None) != SCHEMA:
        raise UserError(
            f"{path}: its content does not fit its checksum, or it is of another version: {REMEDY}"
        )
    return _manifest(Fields(fields, str(path)))


def _manifest(fields: Fields) -> Manifest:
    fields.only(tuple(Manifest.__dataclass_fields__))
    order = _integers(fields, "task_order")
    if sorted(order) != list(range(len(order))) or not order:
        fields.fail("task_order", "a permutation of 0 .. T-1, with at least one task")
    tasks = fields.values["task_of_class"]
    return Manifest(
        config_hash=fields.text("config_hash"),
        stream=fields.text("stream"),
        task_order=order,
        setting=fields.text("setting"),
        competing=fields.text("competing"),
        classes=fields.integer("classes"),
        task_of_class=None if tasks is None else _integers(fields, "task_of_class"),
        limit=fields.integer("limit"),
        files=[_file(fields, item) for item in fields.sequence("files")],
        problem=fields.text("problem"),
    )


def _integers(fields: Fields, key: str) -> list[int]:
    values = fields.sequence(key)
    if not all(type(value) is int and -1 <= value < 2**16 for value in values):
        fields.fail(key, "a list of whole numbers")
    return list(values)


def _file(fields: Fields, item: Any) -> RowFile:
    if not isinstance(item, Mapping):
        fields.fail("files", "a list of objects")
    inner = Fields(item, fields.source, "files")
    inner.only(("name", "bytes", "sha256", "holds"))
    file = RowFile(
        name=inner.text("name"),
        bytes=inner.integer("bytes"),
        sha256=inner.text("sha256"),
        holds=inner.text("holds"),
    )
    if not _NAME.fullmatch(file.name) or file.holds not in HOLDS or not 0 < file.bytes < 2**32:
        fields.fail("files", "rows with name, bytes, sha256 and what they hold")
    return file
