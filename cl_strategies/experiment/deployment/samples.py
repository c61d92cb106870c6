"""Samples of a finished run: of its test stream, and to calibrate an export with."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from cl_strategies.errors import UserError
from cl_strategies.experiment.deployment.restored import FinishedRun
from cl_strategies.experiment.engine.training_data import TrainingData
from cl_strategies.plugins.classes.experience import has_task_labels
from cl_strategies.plugins.quantization.calibrated_copy import memory_of
from cl_strategies.plugins.quantization.calibration.samples import calibration_batches

#: Images that give grids to tensors which have none.
CALIBRATION = 256


def samples_of(run: FinishedRun, task: int | None) -> tuple[Tensor, Tensor]:
    """Return inputs ``(N, ...)`` and labels ``(N,)`` of the test stream.

    :param task: the task label to take; ``None``: all.
    :raises UserError: if there are none of that task.
    """
    inputs, labels = [], []
    for experience in run.benchmark.test_stream:
        data = experience.dataset.eval()
        for x, y, *rest in DataLoader(data, batch_size=256):
            known = rest and has_task_labels(data) and task is not None
            chosen = rest[0] == task if known else torch.ones(len(x), dtype=torch.bool)
            inputs.append(x[chosen])
            labels.append(y[chosen])
    if not sum(len(part) for part in labels):
        raise UserError(f"the test stream has no sample of task {task}")
    return torch.cat(inputs), torch.cat(labels)


def calibration_images(run: FinishedRun) -> Tensor:
    """Return exemplars of the strategy's memory, or training samples of its last experience."""
    memory: Any = memory_of(run.strategy)
    last = TrainingData(run.benchmark, jointly=False).whole[-1].dataset
    if hasattr(memory, "use_transforms"):
        memory.use_transforms(last)
    source = last if memory is None or not len(memory.buffer) else memory
    return torch.cat([x for x, _ in calibration_batches(source, CALIBRATION)])
