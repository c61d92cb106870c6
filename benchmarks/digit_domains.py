"""The same digits in several looks: domains made of real pixels, without a download."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from cl_strategies.benchmarks.builder import build_benchmark
from cl_strategies.benchmarks.choices import Order, Scenario, check_integer, check_seed
from cl_strategies.benchmarks.domains import chosen_domains
from cl_strategies.benchmarks.loaders import load_dataset
from cl_strategies.benchmarks.pasting import Pixels, background
from cl_strategies.benchmarks.photo import photograph_sides
from cl_strategies.benchmarks.pixels import as_bytes, resized
from cl_strategies.benchmarks.samples import Samples, TensorSamples

if TYPE_CHECKING:
    from cl_strategies.benchmarks.stream import StreamBenchmark

_PURPOSE = 4  # first word of the seed, beside those in choices and pasting
_NOISE = 0.25  # deviation of the noise, of pixels in [0, 1]
_LARGEST = 64

#: Turns digits, uint8 ``(N, S, S)``, into images ``(N, S, S, 3)``, given words of a seed and the
#: photographs of the side.
Look = Callable[[Pixels, Sequence[int], Sequence[Pixels]], Pixels]


def digit_domains(
    *,
    n_experiences: int | None = None,
    domains: str = "plain-inverted-photo-blurred-noisy",
    scenario: Scenario = "domain",
    image_size: int = 16,
    stream_seed: int = 0,
    order: Order = None,
    fraction: float = 1.0,
    validation: float = 0.0,
    data_root: str | None = None,
) -> StreamBenchmark:
    """scikit-learn's digits: as they are, inverted, on photographs, blurred, noisy.

    Every task has all ten digits, and the same ones in another look. On photographs a pixel is
    the difference between digit and background, as in MNIST-M; backgrounds are crops of
    scikit-learn's two photographs, of other parts for training than for testing. Images have three
    channels with pixels in ``[0, 1]``.

    :param n_experiences: number of tasks, from the first of ``domains``; ``None``: all of them.
    :param domains: looks in the order of the tasks, joined by hyphens.
    :param scenario: ``"domain"`` (one head) or ``"task"`` (a head per task).
    :param image_size: height and width, 8 to 64.
    :param stream_seed: seed of backgrounds and noise.
    :param order: order of the tasks: ``None`` (natural), a seed, or a permutation.
    :param fraction: share of each class's training samples to keep.
    :param validation: share of the kept training samples that replaces the test stream.
    :raises UserError: for options out of range.
    """
    check_integer("image_size", image_size, minimum=8, maximum=_LARGEST)
    check_seed("stream_seed", stream_seed)
    names = chosen_domains(domains, list(LOOKS), n_experiences)
    data = load_dataset("digits", data_root)
    sides: list[list[Samples]] = []
    parts = zip((data.train, data.test), photograph_sides(), strict=True)
    for side, (samples, photographs) in enumerate(parts):
        digits = resized(as_bytes(samples), image_size, Image.Resampling.BILINEAR)[:, 0].numpy()
        sides.append([])
        for name in names:
            seed = [_PURPOSE, stream_seed, side, list(LOOKS).index(name)]
            images = torch.from_numpy(LOOKS[name](digits, seed, photographs))
            x = images.permute(0, 3, 1, 2).float() / 255
            sides[-1].append(TensorSamples(x.contiguous(), samples.labels))
    return build_benchmark(
        sides[0],
        sides[1],
        name="digit-domains",
        scenario=scenario,
        classes=[range(len(data.class_names))] * len(names),
        order=order,
        fraction=fraction,
        validation=validation,
        class_names=data.class_names,
    )


def _coloured(grey: npt.NDArray[np.integer]) -> Pixels:
    return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=-1)


def _plain(digits: Pixels, seed: Sequence[int], photographs: Sequence[Pixels]) -> Pixels:
    return _coloured(digits)


def _inverted(digits: Pixels, seed: Sequence[int], photographs: Sequence[Pixels]) -> Pixels:
    return _coloured(255 - digits)


def _photo(digits: Pixels, seed: Sequence[int], photographs: Sequence[Pixels]) -> Pixels:
    images = np.empty((*digits.shape, 3), dtype=np.uint8)
    for row, digit in enumerate(digits.astype(np.int32)):
        under = background(np.random.RandomState([*seed, row]), photographs, digits.shape[1])
        images[row] = np.abs(under.astype(np.int32) - digit[..., None])
    return images


def _blurred(digits: Pixels, seed: Sequence[int], photographs: Sequence[Pixels]) -> Pixels:
    """A binomial filter of 3x3 pixels, as often as the digit's strokes are wide."""
    image = digits.astype(np.int32)
    for _ in range(digits.shape[1] // 4):
        for axis in (1, 2):
            edges = [(0, 0), (0, 0), (0, 0)]
            edges[axis] = (1, 1)
            wide = np.pad(image, edges, mode="edge")
            parts = [np.take(wide, range(i, i + image.shape[axis]), axis) for i in range(3)]
            image = (parts[0] + 2 * parts[1] + parts[2] + 2) // 4
    return _coloured(image)


def _noisy(digits: Pixels, seed: Sequence[int], photographs: Sequence[Pixels]) -> Pixels:
    noise = np.random.RandomState(list(seed)).standard_normal((*digits.shape, 3))
    image = digits[..., None] + np.rint(255 * _NOISE * noise).astype(np.int32)
    return image.clip(0, 255).astype(np.uint8)


#: Name -> look, in the default order. The place of a look is a word of its seed.
LOOKS: dict[str, Look] = {
    "plain": _plain,
    "inverted": _inverted,
    "photo": _photo,
    "blurred": _blurred,
    "noisy": _noisy,
}
