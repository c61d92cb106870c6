"""Small folders of images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

CLASSES = ("daisy", "rose", "tulip", "violet")


def write_images(
    root: Path,
    classes: Sequence[str] = CLASSES,
    count: int = 6,
    size: tuple[int, int] = (10, 8),
    seed: int = 0,
) -> Path:
    """``count`` images of random bytes for each class, in a folder of its own."""
    random = np.random.RandomState(seed)
    for name in classes:
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            pixels = random.randint(0, 256, (*size, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return root


@pytest.fixture
def write() -> Callable[..., Path]:
    return write_images


@pytest.fixture(scope="session")
def flowers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 images of 10x8 pixels in 4 classes; nobody changes them."""
    return write_images(tmp_path_factory.mktemp("own") / "flowers")


@pytest.fixture(scope="session")
def looks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two domains, ``photo`` and ``sketch``, with two classes each."""
    root = tmp_path_factory.mktemp("own") / "looks"
    for seed, domain in enumerate(("sketch", "photo")):
        write_images(root / domain, ("cup", "pen"), seed=seed)
    return root
