"""The streams of own images that need no Python: a folder, or a table of files and labels."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Unpack

from cl_strategies.benchmarks.core.options import SameClassesScenario
from cl_strategies.benchmarks.own.cutting import (
    Sides,
    chosen_domains,
    domain_labeled,
    split_labeled,
)
from cl_strategies.benchmarks.own.labeled import Labeled, labeled_files, labeled_table
from cl_strategies.benchmarks.own.options import ColumnOptions, ImagesFolder, OwnOptions
from cl_strategies.benchmarks.own.treatment import check_picture_options, picture_transforms
from cl_strategies.benchmarks.readers.folders import folders_in
from cl_strategies.benchmarks.readers.picture_folders import check_folder, classes_in, images_of
from cl_strategies.benchmarks.readers.picture_tables import read_table
from cl_strategies.errors import UserError
from cl_strategies.errors.text import shortened
from cl_strategies.validation.hyperparameters import hyperparameters
from cl_strategies.validation.parameter import Default

if TYPE_CHECKING:
    from cl_strategies.benchmarks.core.stream import StreamBenchmark

logger = logging.getLogger(__name__)

#: Folders that are taken for training and test images if there are no others.
_SIDES = ({"train", "test"}, {"train", "val"}, {"train", "valid"}, {"train", "validation"})


class TableOptions(OwnOptions, ColumnOptions, total=False):
    """The options of a stream of images that a table lists."""

    images: Annotated[ImagesFolder, Default(None)]


@hyperparameters
def image_folder(**options: Unpack[OwnOptions]) -> StreamBenchmark:
    """Learn images of your own, which lie in a folder for each class.

    ``path`` has the folders of the classes; or ``train`` and ``test`` (or ``val``), which have
    them; or, with ``scenario = "domain"`` or ``domains``, a folder for each domain, which has them.

    :raises DataMissingError: if the folder is not there.
    :raises UserError: for a folder without images, an image that cannot be read or has another
        size than the others, fewer than two classes, and options out of range.
    """
    check_picture_options(options)
    path, test_path = _places(options, "image-folder")
    has_domains = _has_domains(options)
    check_folder(path)
    if test_path is None and _is_divided(path):
        inside = next(side for side in _SIDES if side <= _folders(path))
        path, test_path = path / "train", path / max(inside - {"train"})
    if not has_domains:
        _warn_of_domains(path, classes_in(path))
    listed: list[tuple[str | None, str, Path, bool]] = []
    for place, testing in ((path, False), (test_path, True)):
        for domain in classes_in(place) if place and has_domains else [None]:
            inside_of = place / domain if place and domain else place
            for label in classes_in(inside_of) if inside_of else []:
                files = images_of((inside_of or path) / label)
                listed += [(domain, label, file, testing) for file in files]
    domains, labels, images, sides = zip(*listed, strict=True)
    everything = labeled_files(
        images,
        labels,
        options,
        what=str(path),
        sides=None if test_path is None else sides,
        domains=domains if has_domains else None,
    )
    return _stream(everything, options, "image-folder")


@hyperparameters
def image_table(**options: Unpack[TableOptions]) -> StreamBenchmark:
    """Learn images of your own, which a CSV or Parquet file lists with their labels.

    A row has the path of an image and the name of its class, and may have a ``split`` (``train`` or
    ``test``) and a ``domain``.

    :raises DataMissingError: if the table is not there.
    :raises UserError: for a row whose file is not there or cannot be read, a label that no training
        row has, fewer than two classes, and options out of range.
    """
    check_picture_options(options)
    path, test_path = _places(options, "image-table")
    has_domains = _has_domains(options)
    root, images = Path(options["data_root"] or "."), options["images"]
    tables = []
    for place in filter(None, (path, test_path)):
        folder = place.parent if images is None else root / Path(images).expanduser()
        table = read_table(place)
        tables.append(labeled_table(table, options, options, check_folder(folder), confined=True))
    if has_domains and any(table.domains is None for table in tables):
        raise UserError(
            f"{path} has no column domain: give the name of the column as domain_column, or a "
            "scenario without domains"
        )
    sides = tables[0].divided() if test_path is None else (tables[0], tables[1])
    return _stream(sides, options, "image-table")


def _warn_of_domains(path: Path, classes: Sequence[str]) -> None:
    """Say so where what was taken for classes may be domains with the same classes in each."""
    insides = {tuple(folders_in(path / name)) for name in classes}
    if len(classes) > 1 and len(insides) == 1 and len(inside := insides.pop()) > 1:
        logger.warning(
            "the folders in %s, taken for classes, all have the folders %s: if they are domains, "
            'set scenario = "domain", or domains and scenario = "task"',
            path,
            shortened(", ".join(inside)),
        )


def _stream(data: Labeled | Sides, options: OwnOptions, name: str) -> StreamBenchmark:
    sides = data.divided() if isinstance(data, Labeled) else data
    transforms = picture_transforms(options)
    if not _has_domains(options):
        return split_labeled(sides, options, name=name, transforms=transforms)
    if options["class_order"] is not None:
        raise UserError("class_order is for tasks of different classes: leave it out for domains")
    train = sides[0].by_domain()
    test: Mapping[str, Labeled | None] = (
        dict.fromkeys(train) if sides[1] is None else sides[1].by_domain()
    )
    chosen = chosen_domains(list(train), options["domains"])
    for domain in chosen:
        if domain not in test:
            raise UserError(f"there are no test images of the domain {domain!r}: add some")
    domains = {domain: (train[domain], test[domain]) for domain in chosen}
    scenario: SameClassesScenario = "task" if options["scenario"] == "task" else "domain"
    return domain_labeled(domains, options, name=name, scenario=scenario, transforms=transforms)


def _has_domains(options: OwnOptions) -> bool:
    """:raises UserError: if domains are given for a stream of one head and all classes."""
    if options["domains"] is not None and options["scenario"] == "class":
        raise UserError(
            'domains are given, and scenario is "class": give scenario = "domain" (one head), or '
            '"task" (a head for each domain)'
        )
    return options["scenario"] == "domain" or options["domains"] is not None


def _places(options: OwnOptions, name: str) -> tuple[Path, Path | None]:
    """Return where training and test data are."""
    if options["path"] is None:
        raise UserError(
            f"{name} needs the data: set path in [benchmark], or give --set benchmark.path=..."
        )
    root = Path(options["data_root"] or ".").expanduser()
    path = root / Path(options["path"]).expanduser()
    if options["test_path"] is None:
        return path, None
    return path, root / Path(options["test_path"]).expanduser()


def _folders(path: Path) -> set[str]:
    return {entry.name for entry in path.iterdir() if entry.is_dir()}


def _is_divided(path: Path) -> bool:
    """:raises UserError: if only some folders are named like those of training and test images."""
    found = {name for name in _folders(path) if not name.startswith(".")}
    if found in _SIDES:
        return True
    if "train" in found:
        raise UserError(
            f"{path} has a folder train beside {', '.join(sorted(found - {'train'})) or 'none'}: "
            f"give path = {str(path / 'train')!r} and test_path"
        )
    return False
