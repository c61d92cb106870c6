"""The handwritten digits that come with scikit-learn."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path

import numpy as np

from cl_strategies.benchmarks.datasets.published import (
    DatasetStatus,
    LoadedDataset,
    PackagedDataset,
)


class Digits(PackagedDataset[LoadedDataset]):
    """1,797 digits of 8x8 pixels; a fixed fifth of each class is for testing."""

    name = "digits"
    title = "scikit-learn digits"
    package = "sklearn"
    requirement = "scikit-learn"

    def status(self, data_root: str | Path | None = None) -> DatasetStatus:
        found = importlib.util.find_spec(self.package) is not None
        package = f"the installed package {self.requirement}"
        return DatasetStatus(
            name=self.name,
            present=found,
            looked_in=(package,),
            found_at=package if found else None,
            problem=None,
            how_to_get=self.how_to_get(data_root),
        )

    def load(self, data_root: str | Path | None = None) -> LoadedDataset:
        import torch

        from cl_strategies.benchmarks.datasets.in_memory import divided_dataset

        images, labels = _as_published()
        x = torch.from_numpy(images.astype(np.float32)).reshape(-1, 1, 8, 8) / 16
        return divided_dataset(x, labels.astype(np.int64), 0.2, "0123456789")


@cache
def _as_published() -> tuple[np.ndarray, np.ndarray]:
    """Read the table once in a process; whoever takes it, copies it.

    :returns: ``(1797, 64)`` float64 in ``[0, 16]``, and labels.
    """
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return images, labels
