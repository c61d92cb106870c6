"""Street View House Numbers, cropped digits."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cl_strategies.benchmarks.datasets.published import LoadedDataset, PublishedDataset
from cl_strategies.benchmarks.readers.errors import broken
from cl_strategies.benchmarks.readers.mat_files import read_mat_arrays


class Svhn(PublishedDataset[LoadedDataset]):
    """73,257 training and 26,032 test images of 32x32 pixels; the extra part is left out."""

    name = "svhn"
    title = "SVHN"
    avalanche_folder = "svhn"
    files = ("train_32x32.mat", "test_32x32.mat")

    def fetch(self, root: Path) -> None:
        from torchvision import datasets

        for part in ("train", "test"):
            datasets.SVHN(str(root), split=part, download=True)

    def load(self, data_root: str | Path | None = None) -> LoadedDataset:
        from cl_strategies.benchmarks.core.samples import ImageSamples

        folder = self.locate(data_root)
        train, test = (ImageSamples(*read_svhn(folder / file)) for file in self.files)
        return LoadedDataset(train, test, tuple("0123456789"))


def read_svhn(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return images ``(N, 32, 32, 3)`` uint8 and labels ``(N,)`` int64 of one of SVHN's .mat files.

    The files call the digit 0 class 10; here it is class 0.
    """
    try:
        entry = read_mat_arrays(path, {"X": 4, "y": 2})
    except Exception as error:  # a broken file raises almost anything
        broken(path, str(error) or type(error).__name__, error)
    images, labels = entry.get("X"), entry.get("y")
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.ndim != 4:
        broken(path, "it has no array 'X' of unsigned bytes with four dimensions")
    if images.shape[:3] != (32, 32, 3) or not isinstance(labels, np.ndarray):
        broken(path, f"its images of shape {images.shape} are not (32, 32, 3, N) with labels 'y'")
    if labels.size != images.shape[3] or not np.isin(labels, np.arange(1, 11)).all():
        broken(path, f"its {labels.size} labels are not one of 1..10 for each image")
    digits = labels.reshape(-1).astype(np.int64) % 10
    return np.ascontiguousarray(images.transpose(3, 0, 1, 2)), digits
