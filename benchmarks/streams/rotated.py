"""Rotated streams: the same classes in every task, the images turned by another angle in each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Unpack

import numpy as np
import torch
from annotated_types import Unit
from torch import Tensor
from typing_extensions import Doc

from cl_strategies.benchmarks.core.builder import build_benchmark
from cl_strategies.benchmarks.core.options import (
    DataRoot,
    NExperiences,
    SameClassesScenario,
    StreamOptions,
)
from cl_strategies.benchmarks.core.samples import TensorSamples
from cl_strategies.benchmarks.datasets.published import LoadedDataset
from cl_strategies.benchmarks.datasets.registry import load_dataset
from cl_strategies.benchmarks.streams.permuted import tensors
from cl_strategies.errors import UserError
from cl_strategies.validation.hyperparameters import hyperparameters

if TYPE_CHECKING:
    from cl_strategies.benchmarks.core.stream import StreamBenchmark

Angles = Annotated[
    Sequence[int] | Sequence[float] | None,
    Unit("degrees"),
    Doc(
        "Angles of the tasks, counter-clockwise, one for each; none: evenly spaced from 0 up to, "
        "but not including, 180 (of 10 tasks: 0, 18, ..., 162)."
    ),
]


@hyperparameters
def rotated_digits(
    *,
    n_experiences: NExperiences = 10,
    scenario: SameClassesScenario = "domain",
    angles: Angles = None,
    data_root: DataRoot = None,
    **options: Unpack[StreamOptions],
) -> StreamBenchmark:
    """Rotate scikit-learn's 8x8 digits by another angle in every task."""
    return rotated_stream(
        load_dataset("digits", data_root),
        name="rotated-digits",
        n_experiences=n_experiences,
        scenario=scenario,
        angles=angles,
        **options,
    )


@hyperparameters
def rotated_stream(
    data: LoadedDataset,
    *,
    name: str,
    n_experiences: NExperiences,
    scenario: SameClassesScenario = "domain",
    angles: Angles = None,
    **options: Unpack[StreamOptions],
) -> StreamBenchmark:
    """Make one task per angle, the same for training and test images.

    :param data: a data set of tensors.
    :param name: name of the stream.
    :raises UserError: for options out of range.
    """
    if angles is None:
        angles = [180 * task / n_experiences for task in range(n_experiences)]
    elif len(angles) != n_experiences:
        raise UserError(
            f"angles is {list(angles)!r}: give n_experiences = {n_experiences} of them, in degrees"
        )
    train, test = tensors(data.train, name), tensors(data.test, name)
    return build_benchmark(
        [TensorSamples(rotate(train.x, angle), train.labels) for angle in angles],
        [TensorSamples(rotate(test.x, angle), test.labels) for angle in angles],
        name=name,
        scenario=scenario,
        classes=[range(len(data.class_names))] * n_experiences,
        class_names=data.class_names,
        **options,
    )


def rotate(images: Tensor, degrees: float) -> Tensor:
    """Turn images counter-clockwise about their center, bilinearly, with zeros outside.

    Computed in float64 with rounded sine and cosine, so that the float32 result is the same on
    every machine.

    :param images: float32 of shape ``(N, C, H, W)``.
    :param degrees: the angle.
    :returns: float32 of the same shape.
    """
    height, width = images.shape[-2:]
    cosine = round(math.cos(math.radians(degrees)), 12)
    sine = round(math.sin(math.radians(degrees)), 12)
    y, x = np.mgrid[:height, :width] - np.array([height - 1, width - 1]).reshape(2, 1, 1) / 2
    source_y = sine * x + cosine * y + (height - 1) / 2
    source_x = cosine * x - sine * y + (width - 1) / 2
    top, left = np.floor(source_y).astype(int), np.floor(source_x).astype(int)
    pixels = images.numpy().astype(np.float64)
    turned = np.zeros_like(pixels)
    for row, column in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
        weight = (1 - np.abs(source_y - row)) * (1 - np.abs(source_x - column))
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        turned += (weight * inside) * pixels[
            ..., row.clip(0, height - 1), column.clip(0, width - 1)
        ]
    return torch.from_numpy(turned.astype(np.float32))
