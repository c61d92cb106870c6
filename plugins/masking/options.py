"""Hyper-parameters that the parts of CIM have in common."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt
from typing_extensions import Doc

from cl_strategies.validation.parameter import Equation, ValueAlias

MaskKind = Literal[
    "none", "empty", "random", "center", "cam", "cam-threshold", "joint", "bilevel", "oracle"
]
Masks = Annotated[
    MaskKind,
    ValueAlias("centre", "center"),
    Doc(
        'What decides where an image keeps its resolution. ``"bilevel"`` is CIM; the others are '
        'the paper\'s ablations: ``"none"`` stores whole images, ``"empty"`` compresses '
        'everything, ``"random"`` and ``"center"`` keep a quarter of the image, ``"cam"`` uses '
        'the network\'s own activation maps, ``"cam-threshold"`` chooses their threshold for each '
        "experience, on a tenth of its data that is held out of training, and "
        '``"joint"`` trains masks and network together. ``"oracle"`` keeps the part that shows '
        "the object, on streams that know it: no mask can look at a better place."
    ),
]
Threshold = Annotated[
    float,
    Ge(0),
    Lt(1),
    Doc("Tau: share of the greatest activation above which a pixel is active."),
    Equation("Eq. 2"),
]
Area = Annotated[float, Gt(0), Le(1), Doc("Share of the image that a box covers.")]
LearnedActivations = Annotated[
    int,
    Ge(0),
    Doc(
        "How many activation functions are learned, counted from the last; 0 for all. 4 is "
        '"LastBlock Only" on a ResNet-18.'
    ),
]
