"""Hyper-parameters that penalties have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from annotated_types import Ge, Gt, Le
from typing_extensions import Doc

Strength = Annotated[
    float, Ge(0), Doc("Strength of the penalty, without a factor 1/2. Tune it for the stream.")
]
Damping = Annotated[
    float, Gt(0), Doc("Damping of the importance, in squared units of the parameter.")
]
Retained = Annotated[
    float, Ge(0), Le(1), Doc("Factor of the importances so far when those of a task are added.")
]
Exclude = Annotated[
    Sequence[str],
    Doc('Patterns of names of parameters without a penalty, such as ``["bn*", "*.bias"]``.'),
]
