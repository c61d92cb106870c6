"""Omniglot-Rotation: a hundred tasks of twelve characters, each drawing turned in four ways.

Introduced by Yoon et al., "Scalable and Order-robust Continual Learning with Additive Parameter
Decomposition" (APD), ICLR 2020; used by Kang et al. (WSN) and Li et al. (HALRP).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Unpack

import numpy as np
import torch
from annotated_types import Ge, Le
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from typing_extensions import Doc

from cl_strategies.benchmarks.core import orders
from cl_strategies.benchmarks.core.builder import build_benchmark
from cl_strategies.benchmarks.core.options import DataRoot, Scenario, ShareOptions, TaskOrder
from cl_strategies.benchmarks.core.orders import named_order
from cl_strategies.benchmarks.core.selection import train_test_rows
from cl_strategies.benchmarks.datasets.glyphs import Omniglot, read_grey
from cl_strategies.errors import DataMissingError
from cl_strategies.validation.hyperparameters import hyperparameters

if TYPE_CHECKING:
    from cl_strategies.benchmarks.core.stream import StreamBenchmark

_PER_TASK = 12
_TEST_SHARE = 0.25
_SIZE = 32
_TURNS = 4


@hyperparameters
def omniglot_rotation(
    *,
    n_experiences: Annotated[int, Ge(1), Le(100), Doc("Number of tasks, from the first.")] = 100,
    scenario: Scenario = "task",
    order: TaskOrder = None,
    data_root: DataRoot = None,
    **options: Unpack[ShareOptions],
) -> StreamBenchmark:
    """Cut Omniglot's first 1,200 characters into tasks of twelve, on 1x32x32 images in ``[0, 1]``.

    A character has twenty drawings, each in four quarter turns, all of one class. Fifteen of the
    drawings are for training (60 images of each class) and five for testing (20 images): the test
    images are of the same characters, by other hands. The authors' loaders split the 80 images at
    random instead, so that a test image is often a turned training image; published numbers come
    from that easier split. A drawing's turns are kept or held out together by ``fraction`` and
    ``validation``, too. Letters as ``order`` are for 100 tasks: ``"A"`` (seed 0) to ``"E"``
    (seed 4).

    :raises DataMissingError: if the data are not on this machine.
    :raises UserError: for options out of range, or if the folder holds too few characters.
    """
    order = named_order(order, orders.OMNIGLOT_ROTATION, n_experiences)
    characters = Omniglot().load(data_root)[: _PER_TASK * n_experiences]
    if len(characters) < _PER_TASK * n_experiences:
        raise DataMissingError(
            f"{Omniglot().locate(data_root)} holds {len(characters)} characters, fewer than the "
            f"{_PER_TASK} for each of {n_experiences} tasks: it is incomplete, fetch it again"
        )
    train: list[_TurnedDrawings] = []
    test: list[_TurnedDrawings] = []
    classes: list[range] = []
    for task in range(n_experiences):
        labels = range(_PER_TASK * task, _PER_TASK * (task + 1))
        paths = [path for label in labels for path in characters[label]]
        owner = np.repeat(labels, [len(characters[label]) for label in labels])
        parts = train_test_rows(owner, _TEST_SHARE)
        for side, rows in zip((train, test), parts, strict=True):
            side.append(_TurnedDrawings([paths[row] for row in rows], owner[rows]))
        classes.append(labels)
    return build_benchmark(
        train,
        test,
        name="omniglot-rotation",
        scenario=scenario,
        classes=classes,
        order=order,
        **options,
    )


class _TurnedDrawings:
    """Samples: row ``4 i + k`` is drawing ``i`` turned by ``k`` quarters counter-clockwise.

    :param paths: one file per drawing.
    :param labels: one class id per drawing.
    """

    def __init__(self, paths: Sequence[Path], labels: np.ndarray) -> None:
        self.paths = paths
        self.labels = np.repeat(labels, _TURNS)
        self.groups = np.repeat(np.arange(len(paths)), _TURNS)

    def dataset(self, rows: np.ndarray, labels: np.ndarray) -> Dataset[tuple[Any, int]]:
        return _TurnedImages(self.paths, rows.tolist(), labels.tolist())


class _TurnedImages(Dataset[tuple[Any, int]]):
    """Tensors ``(1, 32, 32)``, read from their files when they are asked for."""

    def __init__(self, paths: Sequence[Path], rows: list[int], targets: list[int]) -> None:
        self.paths = paths
        self.rows = rows
        self.targets = targets

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        drawing, turns = divmod(self.rows[index], _TURNS)
        image = read_grey(self.paths[drawing]).resize((_SIZE, _SIZE), Image.Resampling.BICUBIC)
        pixels = torch.from_numpy(np.rot90(np.asarray(image), turns).copy())
        return pixels.unsqueeze(0).float() / 255, self.targets[index]

    def __len__(self) -> int:
        return len(self.targets)
