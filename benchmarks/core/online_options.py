"""The options of streams that bring their samples in small parts, each declared once."""

from __future__ import annotations

from typing import Annotated, Literal, TypedDict

from annotated_types import Ge, Le, Lt, Unit
from typing_extensions import Doc

from cl_strategies.benchmarks.core.options import (
    LARGEST_SEED,
    DataRoot,
    SplitOptions,
    StreamOptions,
)
from cl_strategies.validation.parameter import Default

#: Of a stream that has one head and the class ids of the data set, and no other form.
ClassScenario = Annotated[Literal["class"], Doc("One head with the class ids of the data set.")]
ExperienceSize = Annotated[
    int,
    Ge(1),
    Unit("samples"),
    Doc("Size of a part, which is there at once; the last one of an experience may be smaller."),
]
SampleSeed = Annotated[
    int, Ge(0), Le(LARGEST_SEED), Doc("Seed of which samples come when, and in which part.")
]
Boundaries = Annotated[
    bool,
    Doc("Tell strategies which experience a part is of, and whether it is the first or last one."),
]
Disjoint = Annotated[
    float, Ge(0), Le(1), Doc("Share of the classes of a task that come in its experience alone.")
]
Blurry = Annotated[
    float,
    Ge(0),
    Lt(1),
    Doc("Share of the samples of every other class that come in the experiences of other tasks."),
]
Slots = Annotated[int, Ge(1), Doc("Number of classes in an experience.")]


class PartOptions(TypedDict, total=False):
    """How samples come in parts."""

    experience_size: Annotated[ExperienceSize, Default(10)]
    sample_seed: Annotated[SampleSeed, Default(0)]


class ClassOptions(PartOptions, total=False):
    """The options of a stream in parts that is class-incremental and nothing else."""

    scenario: Annotated[ClassScenario, Default("class")]
    data_root: Annotated[DataRoot, Default(None)]


class BlurryOptions(SplitOptions, ClassOptions, total=False):
    """The options of a split stream whose tasks overlap in time."""

    disjoint: Annotated[Disjoint, Default(0.5)]
    blurry: Annotated[Blurry, Default(0.1)]


class RepetitionOptions(StreamOptions, ClassOptions, total=False):
    """The options of a stream whose classes come back."""

    boundaries: Annotated[Boundaries, Default(False)]
