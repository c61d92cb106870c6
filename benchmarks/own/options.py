"""The options of streams of own data, each declared once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, TypedDict

from annotated_types import Ge, Gt, Lt, Unit
from typing_extensions import Doc

from cl_strategies.benchmarks.core.options import DataRoot, Scenario, StreamOptions
from cl_strategies.validation.parameter import Default

DataPath = Annotated[
    str | Path | None,
    Doc("Where the data are; a relative path counts from ``data_root``, or the current folder."),
]
TestPath = Annotated[
    str | Path | None,
    Doc("Where test data are, in the same layout; none: a share of the data is for testing."),
]
NTasks = Annotated[
    int | None,
    Ge(1),
    Doc("Number of tasks; none: one for every two classes, or one for each domain."),
]
OwnClassOrder = Annotated[
    int | Sequence[str] | Sequence[int] | None,
    Ge(0),
    Doc(
        "Order in which the classes are cut into tasks: a seed, the names of all classes, their "
        "positions among the sorted names, or none for the sorted names."
    ),
]
DomainNames = Annotated[
    Sequence[str] | None,
    Doc(
        "Names of the domains, in the order of the tasks. None: all of them, sorted, if "
        "``scenario`` is ``domain``, else the data have no domains."
    ),
]
TestFraction = Annotated[
    float,
    Gt(0),
    Lt(1),
    Doc("Share of each class that is for testing, at least one sample, if no test data are given."),
]
Size = Annotated[
    int | Sequence[int] | None,
    Ge(1),
    Unit("pixels"),
    Doc(
        "Height and width that images are brought to: one number, or both; none: images stay as "
        "they are, and must be of one size."
    ),
]
Resize = Annotated[
    Literal["stretch", "crop"],
    Doc(
        "How images of another shape get it: stretched, or scaled until they cover it and cut "
        "around the center."
    ),
]
Color = Annotated[
    Literal["rgb", "gray"], Doc("Three channels, or one, whatever the images have themselves.")
]
OwnAugmentation = Annotated[
    Literal["none", "flip", "crop", "crop-flip"],
    Doc(
        "How training images are changed: mirrored at random, cut at random out of a border of an "
        "eighth of their size, or both."
    ),
]
Normalize = Annotated[
    bool,
    Doc(
        "Subtract a mean and divide by a deviation per channel; otherwise pixels are in ``[0, 1]``."
    ),
]
Mean = Annotated[
    Sequence[float] | None,
    Ge(0),
    Doc(
        "Mean of each channel of pixels in ``[0, 1]``; none: measured on the training images of "
        "the first experience."
    ),
]
Std = Annotated[
    Sequence[float] | None, Gt(0), Doc("Deviation of each channel, given together with ``mean``.")
]
CacheBytes = Annotated[
    int,
    Ge(0),
    Unit("bytes"),
    Doc(
        "Memory for decoded images; more than that are decoded whenever they are read. It changes "
        "no number, and is no part of a run's identity."
    ),
]
TableColumn = Annotated[
    str | None, Doc("Name of a column of the table; none: one of the usual names.")
]
ImagesFolder = Annotated[
    str | Path | None,
    Doc("Folder that the table's paths count from, and lie in; none: the one of the table."),
]


class PictureOptions(TypedDict, total=False):
    """What becomes of images before a network sees them."""

    image_size: Annotated[Size, Default(None)]
    resize: Annotated[Resize, Default("stretch")]
    color: Annotated[Color, Default("rgb")]
    augmentation: Annotated[OwnAugmentation, Default("none")]
    normalize: Annotated[Normalize, Default(True)]
    mean: Annotated[Mean, Default(None)]
    std: Annotated[Std, Default(None)]
    cache_bytes: Annotated[CacheBytes, Default(2 * 2**30)]


class TaskOptions(StreamOptions, total=False):
    """How samples are divided, into how many tasks."""

    n_experiences: Annotated[NTasks, Default(None)]
    test_fraction: Annotated[TestFraction, Default(0.2)]


class CutOptions(TaskOptions, total=False):
    """How the samples are divided, and cut into tasks."""

    scenario: Annotated[Scenario, Default("class")]
    class_order: Annotated[OwnClassOrder, Default(None)]


class OwnOptions(PictureOptions, CutOptions, total=False):
    """The options of the registered streams of own images."""

    path: Annotated[DataPath, Default(None)]
    test_path: Annotated[TestPath, Default(None)]
    domains: Annotated[DomainNames, Default(None)]
    data_root: Annotated[DataRoot, Default(None)]


class ColumnOptions(TypedDict, total=False):
    """Which columns of a table hold what."""

    image_column: Annotated[TableColumn, Default(None)]
    label_column: Annotated[TableColumn, Default(None)]
    split_column: Annotated[TableColumn, Default(None)]
    domain_column: Annotated[TableColumn, Default(None)]
