"""Patches of the two photographs that come with scikit-learn, as a data set."""

from __future__ import annotations

import numpy as np
import torch

from cl_strategies.benchmarks.core.samples import TensorSamples
from cl_strategies.benchmarks.datasets.published import LoadedDataset

NAMES = ("china", "flower")
_TILE = 40
_STEP = 4


def photograph_patches(size: int = 32) -> LoadedDataset:
    """Tell which photograph a grey patch is from: a temple among trees, or a flower.

    Each photograph, 640x427 pixels, is cut into 160 tiles of 40x40. A fixed quarter of the tiles,
    spread evenly, is for testing, so that no pixel is in a training and in a test image. From each
    tile come the patches that lie in it at steps of 4 pixels: nine of 32x32. They overlap, and
    belong to one group.

    :param size: height and width of a patch, at most 40.
    :returns: uint8 images ``(N, 1, size, size)``, class 0 and 1.
    """
    from sklearn.datasets import load_sample_image

    patches: tuple[list[np.ndarray], ...] = ([], [])
    labels: tuple[list[int], ...] = ([], [])
    tiles: tuple[list[int], ...] = ([], [])
    for label, name in enumerate(NAMES):
        photograph = _grey(np.asarray(load_sample_image(f"{name}.jpg")))
        rows, columns = (extent // _TILE for extent in photograph.shape)
        for row, column in np.ndindex(rows, columns):
            side = int((row + 2 * column) % 4 == 0)
            tile = photograph[_TILE * row : _TILE * (row + 1), _TILE * column :][:, :_TILE]
            for top in range(0, _TILE - size + 1, _STEP):
                for left in range(0, _TILE - size + 1, _STEP):
                    patches[side].append(tile[top : top + size, left : left + size])
                    labels[side].append(label)
                    tiles[side].append((label * rows + row) * columns + column)
    train, test = (
        TensorSamples(
            torch.from_numpy(np.stack(patches[side])).unsqueeze(1),
            np.asarray(labels[side], dtype=np.int64),
            groups=np.asarray(tiles[side]),
        )
        for side in (0, 1)
    )
    return LoadedDataset(train, test, NAMES)


def _grey(photograph: np.ndarray) -> np.ndarray:
    """Return the mean of the channels, in integers: ``(H, W, 3)`` to ``(H, W)``."""
    return ((photograph.astype(np.int64).sum(axis=2) + 1) // 3).astype(np.uint8)
