"""Samples with labels by name, before it is known which class and which task they belong to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from cl_strategies.benchmarks.core.samples import Samples
from cl_strategies.benchmarks.own.labels import Ids, as_names
from cl_strategies.benchmarks.own.options import ColumnOptions, PictureOptions
from cl_strategies.benchmarks.own.pictures import Pictures, PictureSamples
from cl_strategies.benchmarks.own.sources import FileSource, ItemSource, decoded_files
from cl_strategies.benchmarks.own.treatment import treatment_of
from cl_strategies.benchmarks.readers.picture_tables import (
    DOMAINS,
    IMAGES,
    LABELS,
    SPLITS,
    PictureTable,
)
from cl_strategies.errors import UserError
from cl_strategies.validation.plain_data import shown

#: Makes samples of rows, with their class ids.
Make = Callable[[Ids, Ids], Samples]
TRAINING, TESTING = ("train", "training"), ("test", "testing", "val", "valid", "validation")


@dataclass(frozen=True, kw_only=True)
class Labeled:
    """Samples with labels.

    :param make: makes samples of some of them; what is slow is done then.
    :param labels: the name of the class of each.
    :param where: what messages call the sample at a position.
    :param what: what messages call all of them.
    :param rows: positions that ``make`` takes.
    :param names: of all classes, by id, where they are known without looking at the labels.
    :param sides: for each, whether it is for testing.
    :param domains: the domain of each.
    :param are_pictures: whether ``make`` returns images of bytes.
    """

    make: Make
    labels: Sequence[str]
    where: Callable[[int], str]
    what: str
    rows: Ids
    names: tuple[str, ...] | None = None
    sides: Sequence[bool] | None = None
    domains: Sequence[str] | None = None
    are_pictures: bool = True

    def subset(self, positions: Sequence[int]) -> Labeled:
        """Return some of the samples."""

        def chosen(values: Sequence[Any] | None) -> Any:
            return None if values is None else [values[position] for position in positions]

        return replace(
            self,
            labels=chosen(self.labels),
            where=lambda position: self.where(positions[position]),
            rows=self.rows[np.asarray(positions, dtype=np.int64)],
            sides=chosen(self.sides),
            domains=chosen(self.domains),
        )

    def samples(self, ids: Ids, positions: Ids | None = None) -> Samples:
        """Return the samples at ``positions`` (all of them) with their class ids."""
        return self.make(*((self.rows, ids) if positions is None else (self.rows[positions], ids)))

    def divided(self) -> tuple[Labeled, Labeled | None]:
        """Return training and test samples; ``None`` if nothing says which are which.

        :raises UserError: if all are for testing, or all for training.
        """
        if self.sides is None:
            return self, None
        test = [i for i, side in enumerate(self.sides) if side]
        train = [i for i, side in enumerate(self.sides) if not side]
        if not train or not test:
            kind = "training" if not train else "test"
            raise UserError(f"{self.what} has no {kind} samples: mark some as {kind[:5]}")
        return self.subset(train), self.subset(test)

    def by_domain(self) -> dict[str, Labeled]:
        """Return the samples of each domain, by its name, sorted."""
        groups: dict[str, list[int]] = {}
        for position, domain in enumerate(self.domains or ()):
            groups.setdefault(domain, []).append(position)
        return {domain: self.subset(groups[domain]) for domain in sorted(groups)}


def labeled_files(
    files: Sequence[Path],
    labels: Sequence[str],
    options: PictureOptions,
    *,
    what: str,
    names: Sequence[str] | None = None,
    **marks: Any,
) -> Labeled:
    """Return files with labels, which are decoded when samples are made.

    :param names: what messages call each file; ``None``: by its path.
    :param marks: ``sides`` and ``domains``.
    """
    source = FileSource(files, names)
    treatment, limit = treatment_of(options), options["cache_bytes"]
    pictures = cache(lambda: decoded_files(source, treatment, limit))
    return Labeled(
        make=lambda rows, ids: PictureSamples(pictures(), rows, ids),
        labels=labels,
        where=source.name,
        what=what,
        rows=np.arange(len(files)),
        **marks,
    )


def labeled_items(
    source: ItemSource,
    labels: Sequence[str],
    options: PictureOptions,
    *,
    what: str,
    **marks: Any,
) -> Labeled:
    """Return images of somebody's with labels, which are read when samples are made.

    :param marks: ``names``, ``sides`` and ``domains``.
    """
    treatment, limit = treatment_of(options), options["cache_bytes"]
    pictures = cache(lambda: Pictures(source, treatment, limit))
    return Labeled(
        make=lambda rows, ids: PictureSamples(pictures(), rows, ids),
        labels=labels,
        where=source.name,
        what=what,
        rows=np.arange(len(source)),
        **marks,
    )


def labeled_table(
    table: PictureTable,
    options: PictureOptions,
    columns: ColumnOptions,
    folder: Path,
    *,
    confined: bool,
) -> Labeled:
    """Return the images that a table names, or holds.

    :param folder: that relative paths count from.
    :param confined: whether the table may only name files below it.
    :raises UserError: for a column that is not there, a row without a file, a label that is none.
    """
    cells = table.needed(columns["image_column"], IMAGES, "image_column")
    labels = as_names(table.needed(columns["label_column"], LABELS, "label_column"), table.where)
    splits = table.column(columns["split_column"], SPLITS, "split_column")
    domains = table.column(columns["domain_column"], DOMAINS, "domain_column")
    marks: dict[str, Any] = {
        "what": table.what,
        "sides": None if splits is None else _sides(splits, table),
        "domains": None if domains is None else as_names(domains, table.where),
    }
    if not all(isinstance(cell, (str, Path)) for cell in cells):
        source = ItemSource(cells.__getitem__, len(cells), f"{table.what}, row")
        return labeled_items(source, labels, options, **marks)
    files, names = [], []
    for row, cell in enumerate(cells):
        path = _file(folder, cell, table.where(row), confined)
        files.append(path)
        names.append(f"{table.where(row)}: {path}")
    return labeled_files(files, labels, options, names=names, **marks)


def _file(folder: Path, cell: str | Path, where: str, confined: bool) -> Path:
    """:raises UserError: if it is not there, or not below ``folder``."""
    path = folder / Path(cell).expanduser()
    inside = path.resolve().is_relative_to(folder.resolve()) if "\0" not in str(cell) else False
    if confined and not inside:
        raise UserError(
            f"{where} names {shown(str(cell))}, which is not below {folder}: give a folder that "
            "holds all images as images, with --set benchmark.images=FOLDER"
        )
    if "\0" in str(cell) or not path.is_file():
        raise UserError(
            f"{where} names {path}, which is not there: correct the row or take it out, or give "
            "the folder that paths count from as images"
        )
    return path


def _sides(splits: Sequence[Any], table: PictureTable) -> list[bool]:
    for row, value in enumerate(splits):
        if str(value).lower() not in (*TRAINING, *TESTING):
            raise UserError(
                f"{table.where(row)} has the split {shown(value)}: write train or test (or val)"
            )
    found = {str(value).lower() for value in splits} & {*TESTING}
    if found & {*TESTING[:2]} and found & {*TESTING[2:]}:
        raise UserError(
            f"{table.what} has rows for validation and rows for testing: write test for those that "
            "accuracy is measured on, and train for the others; the option validation holds out "
            "some of these"
        )
    return [str(value).lower() in TESTING for value in splits]
