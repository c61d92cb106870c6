"""Batched augmentation against torchvision's per-sample transforms."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
import torch
from avalanche.benchmarks.utils.classification_dataset import (
    _make_taskaware_classification_dataset,
)
from avalanche.benchmarks.utils.data_loader import TaskBalancedDataLoader
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import transforms as tv
from torchvision.transforms import functional as tvf

from cl_strategies.plugins.data.augment import color_jitter, random_crop, random_flip
from cl_strategies.plugins.data.flatten import NotResident
from cl_strategies.plugins.data.loader import ResidentLoader
from cl_strategies.plugins.data.store import Store

CPU = torch.device("cpu")
ADJUST = {
    "brightness": tvf.adjust_brightness,
    "contrast": tvf.adjust_contrast,
    "saturation": tvf.adjust_saturation,
    "hue": tvf.adjust_hue,
}


def pictures(n: int, dtype=torch.uint8, channels: int = 3, side: int = 9) -> Tensor:
    generator = torch.Generator().manual_seed(n)
    images = torch.randint(0, 256, (n, channels, side, side), generator=generator)
    return images.to(dtype) if dtype == torch.uint8 else images.to(dtype) / 255


def jitter(images: Tensor, **ranges) -> Tensor:
    return color_jitter(images, **{**dict.fromkeys(ADJUST), **ranges})


def assert_uniform(counts: Counter, outcomes: int) -> None:
    """Chi-square of the counts, at most five standard deviations above its mean."""
    total = sum(counts.values())
    expected = total / outcomes
    assert len(counts) == outcomes
    statistic = sum((count - expected) ** 2 / expected for count in counts.values())
    degrees = outcomes - 1
    assert statistic < degrees + 5 * (2 * degrees) ** 0.5


def test_crops_are_windows_at_uniform_places() -> None:
    image = torch.arange(2 * 5 * 6).view(1, 2, 5, 6)
    crops = random_crop(image.expand(6000, -1, -1, -1), (3, 4))
    windows = {
        tuple(image[0, :, i : i + 3, j : j + 4].flatten().tolist()): (i, j)
        for i, j in itertools.product(range(3), range(3))
    }
    counts = Counter(windows[tuple(crop.flatten().tolist())] for crop in crops)
    assert_uniform(counts, 9)


def test_flips_hit_each_image_with_its_own_probability() -> None:
    images = pictures(1).expand(4000, -1, -1, -1)
    for dim, p in ((-1, 0.3), (-2, 0.8)):
        flipped = (random_flip(images, p=p, dim=dim) == images.flip(dim)).flatten(1).all(1)
        assert abs(flipped.float().mean().item() - p) < 0.04
    assert torch.equal(random_flip(images, p=0.0, dim=-1), images)
    assert torch.equal(random_flip(images, p=1.0, dim=-1), images.flip(-1))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("kind", "factor"),
    [
        ("brightness", 0.4),
        ("brightness", 1.7),
        ("contrast", 0.3),
        ("contrast", 1.6),
        ("saturation", 0.2),
        ("saturation", 1.9),
        ("hue", -0.4),
        ("hue", 0.13),
        ("hue", 0.5),
    ],
)
def test_each_adjustment_is_torchvisions(kind, factor, channels, dtype) -> None:
    images = pictures(7, dtype, channels)
    ours = jitter(images, **{kind: (factor, factor)})
    theirs = torch.stack([ADJUST[kind](image, factor) for image in images])
    assert ours.dtype == dtype
    tolerance = 1 if dtype == torch.uint8 else 1e-5
    assert (ours.double() - theirs.double()).abs().max() <= tolerance
    if channels == 3:
        assert not torch.equal(ours, images)


def test_hue_keeps_grey_pixels_gray() -> None:
    gray = pictures(5, torch.float32, 1).expand(-1, 3, -1, -1)
    torch.testing.assert_close(jitter(gray, hue=(0.3, 0.3)), gray)


def test_adjustments_of_a_picture_are_pillows_up_to_rounding() -> None:
    images = pictures(5)
    for kind, factor in (("brightness", 0.6), ("contrast", 1.4), ("saturation", 0.5), ("hue", 0.2)):
        ours = jitter(images, **{kind: (factor, factor)})
        for image, mine in zip(images, ours, strict=True):
            pillow = ADJUST[kind](tvf.to_pil_image(image), factor)
            error = (tvf.pil_to_tensor(pillow).int() - mine.int()).abs()
            limit = 12 if kind == "hue" else 2  # Pillow's hue has 256 steps
            assert error.max() <= limit


def test_every_image_draws_its_own_factor_uniformly() -> None:
    images = torch.full((3000, 3, 1, 1), 0.5)
    factors = jitter(images, brightness=(0.4, 1.6))[:, 0, 0, 0] / 0.5
    quantiles = torch.quantile(factors, torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0]))
    torch.testing.assert_close(
        quantiles, torch.tensor([0.4, 0.7, 1.0, 1.3, 1.6]), atol=0.05, rtol=0
    )


def test_the_order_of_adjustments_is_random_for_every_image() -> None:
    image = pictures(1, torch.float32)
    factors = {"brightness": 1.8, "contrast": 0.5, "saturation": 0.3}
    results = jitter(image.expand(1200, -1, -1, -1), **{k: (f, f) for k, f in factors.items()})
    outcomes = []
    for order in itertools.permutations(factors):
        expected = image[0]
        for kind in order:
            expected = ADJUST[kind](expected, factors[kind])
        outcomes.append(expected)
    counts = Counter()
    for result in results:
        errors = torch.stack([(result - outcome).abs().max() for outcome in outcomes])
        assert errors.min() < 1e-5
        counts[int(errors.argmin())] += 1
    assert_uniform(counts, 6)


class Pictures(Dataset):
    """A few images, many times over; the target says which one it is."""

    def __init__(self, images: Tensor, times: int) -> None:
        self.images = [tvf.to_pil_image(image) for image in images]
        self.targets = [i % len(images) for i in range(times * len(images))]

    def __getitem__(self, i: int) -> tuple[Image.Image, int]:
        return self.images[self.targets[i]], self.targets[i]

    def __len__(self) -> int:
        return len(self.targets)


def resident(data: Dataset, transform, *, max_bytes: int = 2**24) -> ResidentLoader:
    dataset = _make_taskaware_classification_dataset(data, task_labels=0, transform=transform)
    stock = TaskBalancedDataLoader(dataset, batch_size=100, shuffle=True)
    return ResidentLoader(stock, Store(max_bytes), CPU)


@pytest.mark.parametrize("mode", ["constant", "reflect"])
def test_a_cifar_pipeline_has_the_distribution_of_the_stock_one(mode) -> None:
    pipeline = tv.Compose(
        [
            tv.RandomCrop(6, padding=1, padding_mode=mode),
            tv.RandomHorizontalFlip(),
            tv.ToTensor(),
            tv.Normalize((0.4, 0.5, 0.6), (0.2, 0.3, 0.4)),
        ]
    )
    images = pictures(3, side=6)
    finish = tv.Compose(pipeline.transforms[2:])
    possible = {}
    for label, image in enumerate(images):
        padded = tvf.pad(tvf.to_pil_image(image), 1, padding_mode=mode)
        for i, j, flip in itertools.product(range(3), range(3), (False, True)):
            crop = tvf.crop(padded, i, j, 6, 6)
            sample = finish(tvf.hflip(crop) if flip else crop)
            possible[label, sample.numpy().tobytes()] = (label, i, j, flip)
    counts = Counter()
    for x, y, _ in resident(Pictures(images, 500), pipeline):
        for sample, label in zip(x, y.tolist(), strict=True):
            counts[possible[label, sample.numpy().tobytes()]] += 1
    assert_uniform(counts, 54)


def test_padding_if_needed_matches_torchvision() -> None:
    crop = tv.RandomCrop((8, 4), pad_if_needed=True, fill=9)
    pipeline = tv.Compose([crop, tv.PILToTensor()])
    image = pictures(1, side=6)
    support = {tuple(pipeline(tvf.to_pil_image(image[0])).flatten().tolist()) for _ in range(300)}
    ours = {
        tuple(sample.flatten().tolist())
        for x, _, _ in resident(Pictures(image, 300), pipeline)
        for sample in x
    }
    assert len(support) == 9 and ours == support


def test_augmented_images_stay_in_bytes() -> None:
    pipeline = tv.Compose([tv.RandomHorizontalFlip(), tv.ToTensor()])
    data = Pictures(pictures(4), 5)
    loader = resident(data, pipeline, max_bytes=20 * 3 * 81)
    assert loader.table.sources[0].x.dtype == torch.uint8
    x, *_ = next(iter(loader))
    assert x.dtype == torch.float32 and x.max() <= 1.0


def test_every_epoch_augments_anew_and_the_seed_decides() -> None:
    pipeline = tv.Compose([tv.RandomCrop(9, padding=4), tv.ToTensor()])
    loader = resident(Pictures(pictures(4), 5), pipeline)
    epochs = [next(iter(loader))[0].sum(0) for _ in range(2)]
    assert not torch.equal(*epochs)
    seeded = []
    for _ in range(2):
        torch.manual_seed(4)
        seeded.append(next(iter(loader))[0])
    assert torch.equal(*seeded)


@pytest.mark.parametrize(
    "transform",
    [
        tv.Compose([tv.RandomHorizontalFlip(), tv.RandomRotation(10), tv.ToTensor()]),
        tv.Compose([tv.ToTensor(), tv.RandomErasing()]),
        tv.Compose([tv.RandomHorizontalFlip(), tv.Lambda(np.asarray)]),
        tv.RandomHorizontalFlip(),
        tv.Compose([tv.RandomHorizontalFlip(), tv.Normalize((0.5,), (0.5,))]),
    ],
    ids=["rotation", "erasing", "lambda", "no-tensor", "normalized-picture"],
)
def test_pipelines_without_a_batched_equivalent_are_refused(transform) -> None:
    with pytest.raises(NotResident):
        resident(Pictures(pictures(2), 2), transform)
