"""A folder of your own images: three methods, a table and a report.

`python own_images.py my-images` reads a folder that has a folder for each class. Without an
argument a small one is drawn, `shapes`, to try it.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from cl_strategies.experiment import compare
from cl_strategies.reports import write_report


def draw(folder):
    """Draw 30 noisy images of each of four shapes."""
    random = np.random.default_rng(0)
    for name, corners in {"circle": 0, "triangle": 3, "square": 4, "hexagon": 6}.items():
        (folder / name).mkdir(parents=True)
        for number in range(30):
            image = Image.fromarray(random.integers(0, 90, (16, 16, 3), dtype=np.uint8))
            x, y = random.integers(6, 10, size=2).tolist()
            color = tuple(random.integers(140, 256, size=3).tolist())
            pen = ImageDraw.Draw(image)
            if corners:
                pen.regular_polygon((x, y, 5), corners, fill=color)
            else:
                pen.ellipse((x - 5, y - 5, x + 5, y + 5), fill=color)
            image.save(folder / name / f"{number:02}.png")


def main(folder=None):
    if folder is None:
        folder = "shapes"
        if not Path(folder).exists():
            draw(Path(folder))
    compare(
        benchmarks=[{"name": "image-folder", "path": folder, "image_size": 16}],
        strategies=["naive", {"name": "compressed-replay", "mem_bytes": 8_000}, "joint"],
        settings={"train.epochs": 5},
        out="own-images",
        executor_name="serial",  # without it, as many runs at a time as there are cores
    )
    report = write_report("own-images")
    print(report.table)
    print(report.html)


if __name__ == "__main__":
    main(*sys.argv[1:])
