"""Objects on photographs: what is pasted where, and what training and test sides share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_sample_image

from cl_strategies.benchmarks import load
from cl_strategies.benchmarks.datasets.pasting import PastedSamples
from cl_strategies.errors import UserError


def sources(benchmark: Any) -> list[PastedSamples]:
    """Where the training and the test images come from."""
    streams = (benchmark.train_stream, benchmark.test_stream)
    return [leaf(stream[0].dataset).samples for stream in streams]


def leaf(dataset: Any) -> Any:
    data = dataset._flat_data
    while hasattr(data, "_datasets"):
        (data,) = data._datasets
    return data


def test_training_and_test_share_neither_digits_nor_background() -> None:
    train, test = sources(load("photo-digits"))
    digits = [{stamp.tobytes() for stamp in side.stamps} for side in (train, test)]
    assert len(digits[0]) + len(digits[1]) > 1790 and digits[0].isdisjoint(digits[1])
    for name, left, right in zip(
        ("china.jpg", "flower.jpg"), train.photographs, test.photographs, strict=True
    ):
        assert (left.shape[1], right.shape[1]) == (448, 192)
        assert np.array_equal(np.concatenate([left, right], axis=1), load_sample_image(name))


@pytest.mark.parametrize("size", [64, 128])
def test_images_are_photographs_with_a_digit_somewhere(size: int) -> None:
    benchmark = load("photo-digits", image_size=size, fraction=0.1)
    assert benchmark.info.input_shape == (3, size, size)
    samples = sources(benchmark)[0]
    blank = PastedSamples(
        np.zeros_like(samples.stamps), samples.labels, samples.photographs, size=size,
        seed=samples.seed[1:],
    )  # fmt: skip
    sides, centres = [], []
    for row in range(40):
        changed = (samples.image(row) != blank.image(row)).any(2)
        rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
        sides.append(max(np.ptp(rows), np.ptp(columns)) + 1)
        centres.append((rows.mean(), columns.mean()))
    assert max(sides) <= 5 * size // 8 and np.mean(sides) > size / 4 and np.ptp(sides) > size / 8
    assert np.ptp(np.array(centres), axis=0).min() > size / 3


@pytest.mark.parametrize("size", [64, 128])
def test_the_box_of_an_image_is_what_its_stamp_covers(size: int) -> None:
    samples = sources(load("photo-digits", image_size=size, fraction=0.1))[0]
    full, blank = (
        PastedSamples(
            np.full_like(samples.stamps, value), samples.labels, samples.photographs, size=size,
            seed=samples.seed[1:],
        )
        for value in (255, 0)
    )  # fmt: skip
    for row in range(40):
        changed = (full.image(row) != blank.image(row)).any(2)
        rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
        found = (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1)
        assert samples.true_box(row) == found


def test_boxes_follow_samples_through_orders_fractions_splits_and_subsets() -> None:
    options = {"fraction": 0.3, "validation": 0.2, "order": 3, "class_order": 1}
    benchmark = load("photo-digits", **options)
    assert benchmark.info.has_boxes and not load("split-digits").info.has_boxes
    samples = sources(benchmark)[0]
    for stream in (benchmark.train_stream, benchmark.test_stream):
        dataset = stream[2].dataset
        part = dataset.train().subset([5, 0, 3]).concat(dataset.subset([1]))
        rows = [number % len(samples.labels) for number in part.sample_ids]
        assert list(part.true_boxes) == [samples.true_box(row) for row in rows]
        assert len(part[0]) == 3  # no part of a sample


@pytest.mark.parametrize("name", ["photo-digits", "permuted-fashion-mnist"])
def test_fewer_test_samples_are_some_of_them(name: str) -> None:
    few = {"n_experiences": 2, "fraction": 0.01}
    whole, some = (load(name, test_fraction=share, **few) for share in (1.0, 0.25))
    for one, other in zip(whole.test_stream, some.test_stream, strict=True):
        assert len(other.dataset) == pytest.approx(0.25 * len(one.dataset), abs=1)
        images = {one.dataset[row][0].numpy().tobytes() for row in range(len(one.dataset))}
        assert all(other.dataset[row][0].numpy().tobytes() in images for row in range(20))
    pairs = zip(whole.train_stream, some.train_stream, strict=True)
    assert all(list(a.dataset.sample_ids) == list(b.dataset.sample_ids) for a, b in pairs)


def test_a_photo_stream_is_the_same_on_every_machine(digest: Callable[[Any], str]) -> None:
    digests = [digest(load("photo-digits", fraction=0.05, stream_seed=s)) for s in (0, 0, 1)]
    assert digests[0] == digests[1] != digests[2]


def test_fashion_is_pasted_the_same_way(data_root: str) -> None:
    benchmark = load("photo-fashion-mnist", data_root=data_root, image_size=32)
    assert benchmark.info.input_shape == (3, 32, 32)
    assert benchmark.info.class_names[9] == "Ankle boot"
    x, y, _ = benchmark.train_stream[1].dataset[0]
    assert y in (2, 3) and 0 <= float(x.min()) < float(x.max()) <= 1


def test_an_image_size_that_the_photographs_cannot_give_is_refused() -> None:
    with pytest.raises(UserError, match="image_size is 256"):
        load("photo-digits", image_size=256)
