"""The options that models share, each declared once, and what the engine gives to all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, TypedDict

from annotated_types import Ge
from typing_extensions import Doc

from cl_strategies.errors import UserError
from cl_strategies.validation.parameter import Default

InputShape = Annotated[Sequence[int], Ge(1), Doc("Shape of one sample, ``(C, H, W)`` of an image.")]
NClasses = Annotated[int, Ge(1), Doc("Number of logits of a single head.")]
ScenarioName = Annotated[
    Literal["class", "domain", "task"],
    Doc("Scenario of the stream: task-incremental streams get a head per task, others one head."),
]
HeadKind = Annotated[
    Literal["auto", "growing"],
    Doc(
        'Classifier: ``"auto"``: of fixed size, or one per task in task-incremental streams; or '
        '``"growing"``: one that gains a row for each new class.'
    ),
]
Width = Annotated[
    int, Ge(1), Doc("Channels of the first stage; each later stage has twice as many.")
]


class _HeadArguments(TypedDict):
    n_classes: NClasses
    scenario: ScenarioName


class HeadOptions(_HeadArguments, total=False):
    """What :func:`~cl_strategies.models.heads.with_head` needs to know of the stream."""

    head: Annotated[HeadKind, Default("auto")]


def image_shape(model: str, input_shape: Sequence[int], least: int = 1) -> tuple[int, int, int]:
    """Return the channels, the height and the width of the images that a model is made for.

    :param model: registered name of the model, for the message.
    :param input_shape: shape of one sample.
    :param least: least height and width that the model can take, in pixels.
    :raises UserError: if samples are no images, or too small.
    """
    if len(input_shape) != 3:
        raise UserError(f"{model} takes images (C, H, W), not {tuple(input_shape)}: use mlp")
    channels, height, width = input_shape
    if min(height, width) < least:
        raise UserError(
            f"{model} needs images of at least {least}x{least} pixels, not {height}x{width}: use "
            "cnn or mlp"
        )
    return channels, height, width
