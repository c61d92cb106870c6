"""The fingerprint of data: another for other data, the same wherever and in whatever order."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset

from cl_strategies.benchmarks import build_benchmark, load
from cl_strategies.benchmarks.core.samples import FileSamples
from cl_strategies.experiment.identity.data_fingerprint import fingerprint


def stream(x, y, **options):
    return build_benchmark([(x, y)] * 2, [(x, y)] * 2, name="ours", scenario="domain", **options)


@pytest.fixture
def images():
    """Fractions (N, C, H, W) that are no pixels, and labels."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(60, 3, 5, 5, generator=generator)
    return x, torch.arange(60) % 3


def test_it_is_the_same_whenever_it_is_built_and_in_any_order_of_the_tasks(images):
    first = fingerprint(stream(*images))
    assert first == fingerprint(stream(*images)) == fingerprint(stream(*images, order=[1, 0]))
    options = {"n_experiences": 5}
    digits = fingerprint(load("split-digits", **options))
    assert digits == fingerprint(load("split-digits", order=3, **options))
    assert digits != fingerprint(load("permuted-digits", **options)) != first


def test_samples_labels_and_sizes_count(images):
    x, y = images
    found = {
        fingerprint(stream(x, y)),
        fingerprint(stream(x.roll(1, 0), y)),
        fingerprint(stream(x * 1.5 + 1, y)),
        fingerprint(stream(x, y.roll(1))),
        fingerprint(stream(x[:-3], y[:-3])),
        fingerprint(stream((x > 0).float(), y)),
    }
    assert len(found) == 6


@pytest.mark.parametrize("kind", ["fractions", "pixels", "float64"])
def test_the_last_bits_of_fractions_do_not_count(images, kind):
    x, y = images
    if kind == "pixels":
        x = (x.abs() * 60).byte().float() / 255
    x = x.double() if kind == "float64" else x
    noise = torch.rand(x.shape, generator=torch.Generator().manual_seed(1), dtype=x.dtype) - 0.5
    assert fingerprint(stream(x, y)) == fingerprint(stream(x * (1 + 1e-7 * noise), y))


def test_a_pixel_of_one_step_counts(images):
    x, y = images
    x = (x.abs() * 60).byte().float() / 255
    assert fingerprint(stream(x, y)) != fingerprint(stream(x + 1 / 255, y))


def pictures(folder, seed):
    folder.mkdir()
    chance = np.random.RandomState(seed)
    paths = [folder / f"{i}.png" for i in range(12)]
    for path in paths:
        Image.fromarray(chance.randint(0, 255, (4, 4, 3), dtype=np.uint8)).save(path)
    samples = FileSamples(paths, np.arange(12) % 3)
    return build_benchmark(
        [samples],
        [samples],
        name="pictures",
        scenario="class",
        transforms=(lambda image: torch.zeros(3, 4, 4), lambda image: torch.zeros(3, 4, 4)),
    )


def test_files_count_by_what_is_in_them_not_by_where_they_lie(tmp_path):
    here, there, other = (
        fingerprint(pictures(tmp_path / name, seed))
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert here == there != other


class Drawn(Dataset):
    """A data set that draws random numbers when it is read, as augmentation does."""

    def __init__(self, n=30):
        self.targets = [i % 3 for i in range(n)]

    def __getitem__(self, index):
        return torch.rand(1, 4, 4), self.targets[index]

    def __len__(self):
        return len(self.targets)


def test_what_is_drawn_counts_by_sizes_and_labels_and_leaves_the_generators_alone():
    def made(n):
        return build_benchmark([Drawn(n)], [Drawn(n)], name="drawn", scenario="class")

    benchmark = made(30)
    before = torch.get_rng_state()
    assert fingerprint(benchmark) == fingerprint(made(30)) != fingerprint(made(33))
    benchmark = made(30)
    before = torch.get_rng_state()
    fingerprint(benchmark)
    assert torch.equal(torch.get_rng_state(), before)
