"""Hyper-parameters of a memory that may be objects as well as names."""

from __future__ import annotations

from typing import Annotated

from typing_extensions import Doc

from cl_strategies.plugins.exemplars.buffer.encoder import BoxRule
from cl_strategies.plugins.exemplars.buffer.selection import Ranking
from cl_strategies.plugins.exemplars.codecs.base import Codec
from cl_strategies.plugins.exemplars.options import OrderKind

CodecOrName = Annotated[
    Codec | str,
    Doc(
        "What exemplars are stored with: a codec, or the name of one, with options behind a colon, "
        'such as ``"jpeg:quality=50"``.'
    ),
]
Boxes = Annotated[
    BoxRule | None,
    Doc("Rule for the boxes of a codec that needs them (:mod:`cl_strategies.plugins.masking`)."),
]
Order = Annotated[
    OrderKind | Ranking,
    Doc(
        "Which samples of a group are kept; or a function from features ``(n, d)`` to indices in "
        "the order to keep them."
    ),
]
