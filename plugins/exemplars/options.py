"""Hyper-parameters that memories of compressed exemplars have in common."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge, Unit
from typing_extensions import Doc

from cl_strategies.validation.parameter import ValueAlias

MemBytes = Annotated[
    int,
    Ge(1),
    Doc("Size of the memory, or of each group in it if ``growing``."),
    Unit("bytes"),
]
CodecName = Annotated[
    str,
    ValueAlias("quantised", "quantized"),
    Doc(
        "What exemplars are stored with: a name of ``cl-strategies list codecs``, with options "
        'behind a colon, such as ``"jpeg:quality=50"``.'
    ),
]
BoxRuleName = Annotated[
    Literal["empty", "random", "center", "cam"],
    ValueAlias("centre", "center"),
    Doc("Rule for the boxes of two-resolution exemplars; other codecs have none."),
]
OrderKind = Literal["herding", "closest-to-mean", "random", "reservoir"]
OrderName = Annotated[OrderKind, Doc("Which samples of a group are kept.")]
Balance = Annotated[
    Literal["class", "experience", "none"],
    Doc(
        "Groups that share the memory alike: classes (of one task), experiences, or a single group."
    ),
]
Growing = Annotated[
    bool, Doc("Give each group ``mem_bytes``, so that the memory grows with the groups.")
]
Pool = Annotated[
    bool,
    Doc(
        "Let groups that could use them have the bytes that others leave over. The paper of CIM "
        "lets them lie idle."
    ),
]
Join = Annotated[
    Literal["batch", "concat"],
    Doc(
        'How exemplars are trained: ``"batch"``: in each mini-batch, beside samples of the '
        'experience, as Avalanche does; ``"concat"``: in one shuffled data set with them, as in '
        "iCaRL, LUCIR, DER, FOSTER and CIM."
    ),
]
MemBatchSize = Annotated[
    int,
    Ge(0),
    Doc("Samples of the memory in each mini-batch; 0 for as many as new ones."),
    Unit("samples"),
]
