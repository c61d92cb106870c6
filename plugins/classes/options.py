"""The hyper-parameter that says what happens to outputs of unseen classes."""

from __future__ import annotations

from typing import Annotated, Literal

from typing_extensions import Doc

UnseenClasses = Annotated[
    Literal["mask", "train"],
    Doc(
        'Outputs of classes that have not come yet: ``"mask"`` rules them out, in losses and in '
        'predictions; ``"train"`` trains them like all others, as published settings that say '
        "nothing about it do."
    ),
]
