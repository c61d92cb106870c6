"""Samples of data sets that fit in memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from cl_strategies.benchmarks.core.samples import TensorSamples
from cl_strategies.benchmarks.core.selection import train_test_rows
from cl_strategies.benchmarks.datasets.published import LoadedDataset


def grey_tensor(images: np.ndarray) -> Tensor:
    """Turn grey images ``(N, H, W)`` of bytes into float32 ``(N, 1, H, W)`` in ``[0, 1]``."""
    return torch.from_numpy(images.astype(np.float32)).unsqueeze(1).div_(255)


def divided_dataset(
    x: Tensor, labels: np.ndarray, test_share: float, class_names: Sequence[str]
) -> LoadedDataset:
    """Divide a data set that comes without a split into training and test samples.

    :param x: images ``(N, C, H, W)``.
    :param labels: class ids ``(N,)``.
    :param test_share: share of the samples of each class that is for testing, in ``(0, 1)``.
    :param class_names: one name per class id.
    """
    train, test = train_test_rows(labels, test_share)
    return LoadedDataset(
        TensorSamples(x[train], labels[train]),
        TensorSamples(x[test], labels[test]),
        tuple(class_names),
    )
