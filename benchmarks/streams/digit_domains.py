"""The same digits in several looks: domains made of real pixels, without a download."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Unpack

import numpy as np
import numpy.typing as npt
import torch
from annotated_types import Ge, Le
from PIL import Image
from typing_extensions import Doc

from cl_strategies.benchmarks.core.builder import build_benchmark
from cl_strategies.benchmarks.core.options import (
    DataRoot,
    ImageSize,
    SameClassesScenario,
    StreamOptions,
    StreamSeed,
)
from cl_strategies.benchmarks.core.pixels import as_bytes, resized
from cl_strategies.benchmarks.core.samples import Samples, TensorSamples
from cl_strategies.benchmarks.datasets.pasting import Pixels, background
from cl_strategies.benchmarks.datasets.registry import load_dataset
from cl_strategies.benchmarks.streams.domains import NDomains, chosen_domains
from cl_strategies.benchmarks.streams.photo_digits import photograph_sides
from cl_strategies.validation.hyperparameters import hyperparameters

if TYPE_CHECKING:
    from cl_strategies.benchmarks.core.stream import StreamBenchmark

#: Names of the classes.
DIGITS = tuple("0123456789")

_PURPOSE = 4  # first word of the seed, beside those in choices and pasting
_NOISE = 0.25  # deviation of the noise, of pixels in [0, 1]

#: Turns digits, uint8 ``(N, S, S)``, into images ``(N, S, S, 3)``, given words of a seed and the
#: photographs of the side.
Look = Callable[[Pixels, Sequence[int], Sequence[Pixels]], Pixels]


@hyperparameters
def digit_domains(
    *,
    n_experiences: NDomains = None,
    domains: Annotated[
        str, Doc("Looks of the digits in the order of the tasks, joined by hyphens.")
    ] = "plain-inverted-photo-blurred-noisy",
    scenario: SameClassesScenario = "domain",
    image_size: Annotated[ImageSize, Ge(8), Le(64)] = 16,
    stream_seed: StreamSeed = 0,
    data_root: DataRoot = None,
    **options: Unpack[StreamOptions],
) -> StreamBenchmark:
    """Show scikit-learn's digits as they are, inverted, on photographs, blurred, and noisy.

    Every task has all ten digits, and the same ones in another look. On photographs a pixel is
    the difference between digit and background, as in MNIST-M; backgrounds are crops of
    scikit-learn's two photographs, of other parts for training than for testing. Images have three
    channels with pixels in ``[0, 1]``. ``stream_seed`` is that of backgrounds and noise.

    :raises UserError: for options out of range.
    """
    names = chosen_domains(domains, list(LOOKS), n_experiences)
    domains_of = looks(names, image_size, stream_seed, data_root)
    return build_benchmark(
        [train for train, _ in domains_of],
        [test for _, test in domains_of],
        name="digit-domains",
        scenario=scenario,
        classes=[range(len(DIGITS))] * len(names),
        class_names=DIGITS,
        **options,
    )


def looks(
    names: Sequence[str], image_size: int, stream_seed: int, data_root: str | Path | None
) -> list[tuple[Samples, Samples]]:
    """Return training and test images of the digits in each of the looks ``names``."""
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
    return list(zip(*sides, strict=True))


def _colored(grey: npt.NDArray[np.integer]) -> Pixels:
    return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=-1)


def _plain(digits: Pixels, seed: Sequence[int], photographs: Sequence[Pixels]) -> Pixels:
    return _colored(digits)


def _inverted(digits: Pixels, seed: Sequence[int], photographs: Sequence[Pixels]) -> Pixels:
    return _colored(255 - digits)


def _photo(digits: Pixels, seed: Sequence[int], photographs: Sequence[Pixels]) -> Pixels:
    images = np.empty((*digits.shape, 3), dtype=np.uint8)
    for row, digit in enumerate(digits.astype(np.int32)):
        under = background(np.random.RandomState([*seed, row]), photographs, digits.shape[1])
        images[row] = np.abs(under.astype(np.int32) - digit[..., None])
    return images


def _blurred(digits: Pixels, seed: Sequence[int], photographs: Sequence[Pixels]) -> Pixels:
    """Return a binomial filter of 3x3 pixels, as often as the digit's strokes are wide."""
    image = digits.astype(np.int32)
    for _ in range(digits.shape[1] // 4):
        for axis in (1, 2):
            edges = [(0, 0), (0, 0), (0, 0)]
            edges[axis] = (1, 1)
            wide = np.pad(image, edges, mode="edge")
            parts = [np.take(wide, range(i, i + image.shape[axis]), axis) for i in range(3)]
            image = (parts[0] + 2 * parts[1] + parts[2] + 2) // 4
    return _colored(image)


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
