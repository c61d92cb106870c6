"""The codecs by name; plain text, so that listing imports nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cl_strategies.errors import UserError, unknown_name
from cl_strategies.registry import Entry

if TYPE_CHECKING:
    from cl_strategies.plugins.exemplars.codec import Codec

_HERE = "cl_strategies.plugins.exemplars"

ENTRIES: tuple[Entry, ...] = (
    Entry(
        name="raw",
        factory=f"{_HERE}.whole_image:Raw",
        summary="One byte per value.",
    ),
    Entry(
        name="png",
        factory=f"{_HERE}.whole_image:PNG",
        summary="Lossless PNG.",
    ),
    Entry(
        name="jpeg",
        factory=f"{_HERE}.whole_image:JPEG",
        summary="JPEG, with the tables kept in the code.",
        paper="Wang et al., Memory replay with data compression for continual learning, ICLR 2022",
    ),
    Entry(
        name="webp",
        factory=f"{_HERE}.whole_image:WebP",
        summary="WebP, lossy or lossless.",
    ),
    Entry(
        name="downsample",
        factory=f"{_HERE}.downsample:Downsample",
        summary="The whole image at a lower resolution.",
    ),
    Entry(
        name="quantised",
        factory=f"{_HERE}.quantised:Quantised",
        summary="One to seven bits per value, between the limits of each channel.",
    ),
    Entry(
        name="two-resolution",
        factory=f"{_HERE}.two_resolution:TwoResolution",
        summary="A box at full resolution, the background downsampled.",
        paper="Luo et al., Class-incremental exemplar compression for class-incremental learning, "
        "CVPR 2023",
        needs=("a rule for boxes",),
    ),
)


def make_codec(codec: str | Codec, **options: Any) -> Codec:
    """A codec by its name, or the one given.

    :param codec: a name of :data:`ENTRIES`, with options behind a colon if need be, such as
        ``"jpeg"`` or ``"two-resolution:eta=9,inner=jpeg,quality=50"``; or a codec, which takes no
        options.
    :param options: options of the named codec.
    :raises UserError: for an unknown name or option, or an option out of range.
    """
    if not isinstance(codec, str):
        if options:
            raise UserError(f"{codec.name} is made already: options {sorted(options)} are too late")
        return codec
    name, _, settings = codec.partition(":")
    entries = {entry.name: entry for entry in ENTRIES}
    if name not in entries:
        raise unknown_name("codec", name, entries)
    entry = entries[name]
    given = {**entry.parse_options(settings), **options}
    made: Codec = entry.load()(**entry.resolve_options(given))
    return made
