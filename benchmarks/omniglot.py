"""Omniglot-Rotation: a hundred tasks of twelve characters, each drawing turned in four ways.

Introduced by Yoon et al., "Scalable and Order-robust Continual Learning with Additive Parameter
Decomposition" (APD), ICLR 2020; used by Kang et al. (WSN) and Li et al. (HALRP).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from cl_strategies.benchmarks import choices, orders
from cl_strategies.benchmarks.builder import build_benchmark
from cl_strategies.benchmarks.choices import Scenario
from cl_strategies.benchmarks.datasets import locate
from cl_strategies.benchmarks.glyph_readers import omniglot_characters, read_grey
from cl_strategies.benchmarks.orders import TaskOrder, named_order
from cl_strategies.errors import UserError

if TYPE_CHECKING:
    from cl_strategies.benchmarks.stream import StreamBenchmark

_PER_TASK = 12
_TEST_SHARE = 0.25
_SIZE = 32
_TURNS = 4


def omniglot_rotation(
    *,
    n_experiences: int = 100,
    scenario: Scenario = "task",
    order: TaskOrder = None,
    fraction: float = 1.0,
    validation: float = 0.0,
    data_root: str | None = None,
) -> StreamBenchmark:
    """Omniglot's first 1,200 characters in tasks of twelve, on 1x32x32 images in ``[0, 1]``.

    A character has twenty drawings, each in four quarter turns, all of one class. Fifteen of the
    drawings are for training (60 images of each class) and five for testing (20 images): the test
    images are of the same characters, by other hands. The authors' loaders split the 80 images at
    random instead, so that a test image is often a turned training image; published numbers come
    from that easier split. A drawing's turns are kept or held out together by ``fraction`` and
    ``validation``, too.

    :param n_experiences: number of tasks, from the first.
    :param scenario: ``"task"`` (a head per task), ``"domain"`` (one head of 12 units) or
        ``"class"`` (one head of 12 units per task).
    :param order: as everywhere, or with 100 tasks one of the printed orders ``"A"`` (seed 0) to
        ``"E"`` (seed 4).
    :param fraction: share of each class's training drawings to keep.
    :param validation: share of the kept training drawings that replaces the test stream.
    :param data_root: folder to look for the data in first.
    :raises DataMissingError: if the data are not on this machine.
    :raises UserError: for options out of range, or if the folder holds too few characters.
    """
    choices.check_integer("n_experiences", n_experiences, minimum=1, maximum=100)
    order = named_order(order, orders.OMNIGLOT_ROTATION, n_experiences)
    folder = locate("omniglot", data_root)
    characters = omniglot_characters(folder)[: _PER_TASK * n_experiences]
    if len(characters) < _PER_TASK * n_experiences:
        raise UserError(
            f"{folder} holds {len(characters)} characters, fewer than the {_PER_TASK} for each of "
            f"{n_experiences} tasks: it is incomplete, fetch it again"
        )
    train: list[_TurnedDrawings] = []
    test: list[_TurnedDrawings] = []
    classes: list[range] = []
    for task in range(n_experiences):
        labels = range(_PER_TASK * task, _PER_TASK * (task + 1))
        paths = [path for label in labels for path in characters[label]]
        owner = np.repeat(labels, [len(characters[label]) for label in labels])
        parts = choices.train_test_rows(owner, _TEST_SHARE)
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
        fraction=fraction,
        validation=validation,
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
