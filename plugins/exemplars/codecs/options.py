"""Hyper-parameters that codecs have in common."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge, Le
from typing_extensions import Doc

from cl_strategies.validation.parameter import Equation

Eta = Annotated[
    float,
    Ge(1),
    Doc(
        "Ratio of areas between the image and what is stored of it, outside of the box if there "
        "is one; 4 halves each side."
    ),
    Equation("Eq. 3 of CIM"),
]
Filter = Annotated[
    Literal["nearest", "box"],
    Doc(
        'How pixels become fewer: ``"nearest"`` keeps one pixel of each cell, as in CIM; '
        '``"box"`` keeps the mean of each cell, which lossy files store in fewer bytes.'
    ),
]
Inner = Annotated[
    Literal["raw", "png", "jpeg", "webp", "webp-lossless"],
    Doc("How the pixels that are kept are written."),
]
Quality = Annotated[
    int, Ge(1), Le(100), Doc("Quality of a lossy file, as in Pillow; of JPEG at most 95.")
]
JPEGQuality = Annotated[int, Ge(1), Le(95), Doc("Quality, as in Pillow.")]
PNGLevel = Annotated[int, Ge(0), Le(9), Doc("Effort of the compression.")]
