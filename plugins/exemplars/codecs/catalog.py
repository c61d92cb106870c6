"""The codecs by name; plain text, so that listing imports nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cl_strategies.errors import UserError
from cl_strategies.registry import Entry, registry

if TYPE_CHECKING:
    from cl_strategies.plugins.exemplars.codecs.base import Codec

_HERE = "cl_strategies.plugins.exemplars.codecs"

ENTRIES: tuple[Entry, ...] = (
    Entry(
        name="raw",
        factory=f"{_HERE}:Raw",
        summary="One byte per value.",
    ),
    Entry(
        name="png",
        factory=f"{_HERE}:PNG",
        summary="Lossless PNG.",
    ),
    Entry(
        name="jpeg",
        factory=f"{_HERE}:JPEG",
        summary="JPEG, with the tables kept in the code.",
        paper="Wang et al., Memory replay with data compression for continual learning, ICLR 2022",
    ),
    Entry(
        name="webp",
        factory=f"{_HERE}:WebP",
        summary="WebP, lossy or lossless.",
    ),
    Entry(
        name="downsample",
        factory=f"{_HERE}:Downsample",
        summary="The whole image at a lower resolution.",
    ),
    Entry(
        name="quantized",
        older_names=("quantised",),
        factory=f"{_HERE}:Quantized",
        summary="One to seven bits per value, between the limits of each channel.",
    ),
    Entry(
        name="two-resolution",
        factory=f"{_HERE}:TwoResolution",
        summary="A box at full resolution, the background downsampled.",
        paper="Luo et al., Class-incremental exemplar compression for class-incremental learning, "
        "CVPR 2023",
        needs=("a rule for boxes",),
    ),
)


def present_name(name: str) -> str:
    """Return the present name of a codec that had ``name`` in an earlier version, or ``name``."""
    return registry("codecs").present_name(name)


def make_codec(codec: str | Codec, **options: Any) -> Codec:
    """Return the codec of this name, or the one given.

    :param codec: A registered name, with options behind a colon if need be, such as ``"jpeg"`` or
        ``"two-resolution:eta=9,inner=jpeg,quality=50"``; or a codec, which takes no options.
    :param options: Options of the named codec.
    :raises UserError: for an unknown name or option, or an option out of its range.
    """
    if not isinstance(codec, str):
        if options:
            raise UserError(f"{codec.name} is made already: options {sorted(options)} are too late")
        return codec
    name, _, settings = codec.partition(":")
    entry = registry("codecs")[name]
    given = {**entry.parse_options(settings), **options}
    made: Codec = entry.load()(**entry.resolve_options(given))
    return made
