"""Bytes of a photograph in each codec, and the time to write and to read it."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from exemplars import BOX, SIZE, photographs
from loops import Data
from measurement import Measurement

from cl_strategies.plugins.exemplars.codecs.base import Codec
from cl_strategies.plugins.exemplars.codecs.catalog import make_codec
from cl_strategies.plugins.exemplars.codecs.pixels import Pixels

LOSSLESS = ("raw", "png", "webp:lossless=true")
CODECS = (
    *LOSSLESS,
    "quantized:bits=4",
    "downsample",
    "two-resolution",
    "two-resolution:inner=png",
    "jpeg",
    "webp",
    "two-resolution:inner=jpeg,filter=box",
)
REPEATS = 5


def measurements(data: Data, rounds: int) -> list[Measurement]:
    """Bytes relative to the pixels, and milliseconds on one core, of each codec.

    :raises SystemExit: if a codec writes other bytes than it says, or a lossless one other pixels.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    image = photographs()[0]
    found = [figure for name in CODECS for figure in _measure(name, image, rounds)]
    torch.set_num_threads(threads)
    return found


def _measure(name: str, image: Pixels, rounds: int) -> list[Measurement]:
    codec = make_codec(name)
    box = BOX if codec.needs_box else None
    payload, proof = _proved(name, codec, image, box)
    encode = [_milliseconds(lambda: codec.encode(image, box)) for _ in range(rounds)]
    decode = [_milliseconds(lambda: codec.decode(payload)) for _ in range(rounds)]
    what = f"A photograph of {SIZE}x{SIZE}, {name}"
    return [
        Measurement(
            name=f"codec-size-{name}",
            title=f"{what}: stored / pixels",
            values=[len(payload) / image.nbytes],
            proof=proof,
        ),
        Measurement(name=f"codec-encode-{name}", title=f"{what}: encode", values=encode, unit="ms"),
        Measurement(name=f"codec-decode-{name}", title=f"{what}: decode", values=decode, unit="ms"),
    ]


def _proved(
    name: str, codec: Codec, image: Pixels, box: tuple[int, int, int, int] | None
) -> tuple[bytes, str]:
    payload = codec.encode(image, box)
    if codec.cost(image, box) != len(payload):
        raise SystemExit(f"codecs: {name} says another number of bytes than it writes")
    if name not in LOSSLESS:
        return payload, "as many bytes as it says"
    if not np.array_equal(codec.decode(payload), image):
        raise SystemExit(f"codecs: {name} does not keep the pixels")
    return payload, "as many bytes as it says; all pixels bit for bit"


def _milliseconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    for _ in range(REPEATS):
        work()
    return (time.perf_counter() - start) / REPEATS * 1e3
