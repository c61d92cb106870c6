"""Rotated streams: the same classes in every task, the images turned by another angle in each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from cl_strategies.benchmarks import choices
from cl_strategies.benchmarks.builder import build_benchmark
from cl_strategies.benchmarks.choices import Order, Scenario
from cl_strategies.benchmarks.loaders import LoadedDataset, load_dataset
from cl_strategies.benchmarks.permuted import tensors
from cl_strategies.benchmarks.samples import TensorSamples
from cl_strategies.errors import UserError

if TYPE_CHECKING:
    from cl_strategies.benchmarks.stream import StreamBenchmark


def rotated_digits(
    *,
    n_experiences: int = 10,
    scenario: Scenario = "domain",
    angles: Sequence[float] | None = None,
    order: Order = None,
    fraction: float = 1.0,
    validation: float = 0.0,
    data_root: str | None = None,
) -> StreamBenchmark:
    """scikit-learn's 8x8 digits, rotated; see :func:`rotated_stream` for the options."""
    return rotated_stream(
        load_dataset("digits", data_root),
        name="rotated-digits",
        n_experiences=n_experiences,
        scenario=scenario,
        angles=angles,
        order=order,
        fraction=fraction,
        validation=validation,
    )


def rotated_stream(
    data: LoadedDataset,
    *,
    name: str,
    n_experiences: int,
    scenario: Scenario = "domain",
    angles: Sequence[float] | None = None,
    order: Order = None,
    fraction: float = 1.0,
    validation: float = 0.0,
) -> StreamBenchmark:
    """One task per angle, the same for training and test images.

    :param data: a data set of tensors.
    :param n_experiences: number of tasks.
    :param scenario: ``"domain"`` (one head) or ``"task"`` (a head per task).
    :param angles: degrees, counter-clockwise, one per task; ``None``: evenly spaced from 0 up to,
        but not including, 180 (10 tasks: 0, 18, ..., 162).
    :param order: order of the tasks: ``None`` (natural), a seed, or a permutation.
    :param fraction: share of each class's training samples to keep.
    :param validation: share of the kept training samples that replaces the test stream.
    :raises UserError: for options out of range.
    """
    choices.check_integer("n_experiences", n_experiences, minimum=1)
    choices.check_scenario(scenario, ("domain", "task"))
    if angles is None:
        angles = [180 * task / n_experiences for task in range(n_experiences)]
    elif len(angles) != n_experiences or not all(_is_angle(angle) for angle in angles):
        raise UserError(
            f"angles is {list(angles)!r}: give n_experiences = {n_experiences} finite numbers, "
            "in degrees"
        )
    train, test = tensors(data.train, name), tensors(data.test, name)
    return build_benchmark(
        [TensorSamples(rotate(train.x, angle), train.labels) for angle in angles],
        [TensorSamples(rotate(test.x, angle), test.labels) for angle in angles],
        name=name,
        scenario=scenario,
        classes=[range(len(data.class_names))] * n_experiences,
        order=order,
        fraction=fraction,
        validation=validation,
        class_names=data.class_names,
    )


def rotate(images: Tensor, degrees: float) -> Tensor:
    """Turn images counter-clockwise about their centre, bilinearly, with zeros outside.

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


def _is_angle(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
