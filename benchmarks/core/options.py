"""The options that streams share, each declared once.

A stream takes its group as ``**options: Unpack[SplitOptions]``, and hands it on as it is. What
differs between streams, such as the default of ``n_experiences``, stands in their signatures.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, TypedDict

from annotated_types import Ge, Gt, Le, Lt, Unit
from typing_extensions import Doc

from cl_strategies.validation.parameter import Default, Since

#: Seeds are those that ``numpy.random.RandomState`` takes.
LARGEST_SEED = 2**32 - 1

NExperiences = Annotated[int, Ge(1), Doc("Number of tasks.")]
Scenario = Annotated[
    Literal["class", "task", "domain"],
    Doc(
        "``class``: the class ids of the data set and one head; ``task``: ids from zero and a head "
        "for each task; ``domain``: ids from zero in each task and one head."
    ),
]
#: Of a stream that has the same classes in every task.
SameClassesScenario = Annotated[
    Literal["domain", "task"], Doc("One head for all tasks (domain), or a head for each (task).")
]
#: Of a stream whose tasks share some classes.
OverlappingScenario = Annotated[
    Literal["class", "task"],
    Doc("One head with the class ids of the data set (class), or a head for each task (task)."),
]
Order = Annotated[
    int | Sequence[int] | None,
    Ge(0),
    Le(LARGEST_SEED),
    Doc("Order of the tasks: a seed, a permutation, or none for the natural order."),
]
#: Of a stream whose paper prints five orders.
TaskOrder = Annotated[
    Literal["A", "B", "C", "D", "E"] | int | Sequence[int] | None,
    Ge(0),
    Le(LARGEST_SEED),
    Doc(
        "Order of the tasks: a letter for an order that a paper prints, a seed, a permutation, or "
        "none for the natural order. Letters are for the default number of tasks."
    ),
]
ClassOrder = Annotated[
    int | Sequence[int] | None,
    Ge(0),
    Le(LARGEST_SEED),
    Doc(
        "Order in which the classes are cut into tasks: a seed, a permutation, or none for the "
        "stream's own: the natural order, unless the stream says otherwise."
    ),
]
Fraction = Annotated[
    float, Gt(0), Le(1), Doc("Share of the training samples of each class that is kept.")
]
Validation = Annotated[
    float,
    Ge(0),
    Lt(1),
    Doc(
        "Share of the kept training samples that is held out and replaces the test stream, to "
        "choose hyper-parameters with."
    ),
]
TestFraction = Annotated[
    float,
    Gt(0),
    Le(1),
    Doc("Share of the test samples of each class that is kept."),
    Since("0.2"),
]
SplitProtocol = Annotated[
    Literal["scratch", "half"],
    Doc(
        "``scratch``: tasks of equal size; ``half``: half of the classes first, then as many more "
        "tasks as ``n_experiences`` says."
    ),
]
StreamSeed = Annotated[
    int, Ge(0), Le(LARGEST_SEED), Doc("Seed of all that is random in the images of the stream.")
]
ImageSize = Annotated[int, Ge(1), Unit("pixels"), Doc("Height and width of the images.")]
IdentityFirst = Annotated[bool, Doc("Leave the images of the first task as they are.")]
DataRoot = Annotated[
    str | Path | None, Doc("Folder in which the data set is looked for before all others.")
]


class ShareOptions(TypedDict, total=False):
    """How many of the samples a stream has."""

    fraction: Annotated[Fraction, Default(1.0)]
    validation: Annotated[Validation, Default(0.0)]


class StreamOptions(ShareOptions, total=False):
    """The options of every stream."""

    order: Annotated[Order, Default(None)]


class SplitOptions(StreamOptions, total=False):
    """The options of a stream that is cut from the classes of one data set."""

    class_order: Annotated[ClassOrder, Default(None)]


class ProtocolOptions(SplitOptions, total=False):
    """The options of a split stream that may begin with half of the classes."""

    protocol: Annotated[SplitProtocol, Default("scratch")]


class PermutedOptions(StreamOptions, total=False):
    """The options of a stream whose pixels are permuted."""

    stream_seed: Annotated[StreamSeed, Default(0)]
    identity_first: Annotated[IdentityFirst, Default(True)]
