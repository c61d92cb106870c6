"""The exemplar of CIM: a box at full resolution, and of the rest only the pixels that show.

Reducing the background and enlarging it again repeats each of its pixels over a few pixels of
the image. Those whose every repetition lies in the box are never seen; they form a rectangle of
the low-resolution grid, and are left out. What remains costs what Eq. 4 of the paper says, up to
the rounding of the box to that grid.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge
from typing_extensions import Doc

from cl_strategies.errors import UserError
from cl_strategies.plugins.exemplars.codecs.base import HEADER, ImageCodec, damaged, expect_length
from cl_strategies.plugins.exemplars.codecs.boxes import check_box
from cl_strategies.plugins.exemplars.codecs.downsample import enlarge, shrink
from cl_strategies.plugins.exemplars.codecs.image_files import RawCoder, make_coder
from cl_strategies.plugins.exemplars.codecs.nearest import low_size, nearest_index
from cl_strategies.plugins.exemplars.codecs.options import Eta, Filter, Inner, Quality
from cl_strategies.plugins.exemplars.codecs.pixels import Pixels
from cl_strategies.validation.hyperparameters import hyperparameters

Box = tuple[int, int, int, int]

_LAYOUT = struct.Struct("<4HHHHH")  # box, low height and width, foreground height and width
_LENGTH = struct.Struct("<I")  # bytes of a coded foreground


@hyperparameters
class TwoResolution(ImageCodec):
    """Store every pixel inside the box, and one of ``eta`` outside it (Eq. 3).

    With the defaults, ``decode(encode(image, box))`` is
    :func:`~cl_strategies.plugins.masking.functional.downsample_background` of the image, bit for
    bit.

    Files are rectangles: with another ``inner`` than ``"raw"`` the pixels that do not show are
    filled in.

    :raises UserError: for an option out of its range.
    """

    name: ClassVar[str] = "two-resolution"
    number: ClassVar[int] = 7
    needs_box: ClassVar[bool] = True

    def __init__(
        self,
        *,
        eta: Eta = 4.0,
        foreground_eta: Annotated[
            float,
            Ge(1),
            Doc("Ratio of areas inside the box; 2 in the paper's ablation with compressed boxes."),
        ] = 1.0,
        filter: Filter = "nearest",
        inner: Inner = "raw",
        quality: Quality = 75,
    ) -> None:
        self.eta = eta
        self.foreground_eta = foreground_eta
        self.filter = filter
        self.coder = make_coder(inner, quality)

    def cost(self, pixels: Pixels, box: Sequence[int] | None = None) -> int:
        height, width, channels = pixels.shape
        if not isinstance(self.coder, RawCoder):
            return super().cost(pixels, box)
        inside = _required(box, height, width)
        low = low_size(height, width, self.eta)
        r0, r1, c0, c1 = hidden_block(inside, (height, width), low)
        fg_height, fg_width = self._foreground_size(inside)
        shown = low[0] * low[1] - (r1 - r0) * (c1 - c0)
        return HEADER.size + _LAYOUT.size + (fg_height * fg_width + shown) * channels

    def pack(self, pixels: Pixels, box: Sequence[int] | None) -> bytes:
        size = pixels.shape[0], pixels.shape[1]
        inside = h0, h1, w0, w1 = _required(box, *size)
        low = low_size(*size, self.eta)
        small = shrink(pixels, low, self.filter)
        hidden = hidden_block(inside, size, low)
        fg_size = self._foreground_size(inside)
        foreground = pixels[h0:h1, w0:w1]
        if fg_size != foreground.shape[:2]:
            foreground = shrink(foreground, fg_size, "nearest")
        layout = _LAYOUT.pack(*inside, *low, *fg_size)
        if isinstance(self.coder, RawCoder):
            return layout + foreground.tobytes() + _without_block(small, hidden)
        first = self.coder.write(foreground) if foreground.size else b""
        second = self.coder.write(_filled(small, hidden)) if _shows(low, hidden) else b""
        return layout + _LENGTH.pack(len(first)) + first + second

    def unpack(self, body: bytes, shape: tuple[int, int, int]) -> Pixels:
        *values, low_h, low_w, fg_h, fg_w = _LAYOUT.unpack_from(body)
        size, channels, low = shape[:2], shape[2], (low_h, low_w)
        h0, h1, w0, w1 = inside = check_box(values, *size)
        if not (0 < low_h <= size[0] and 0 < low_w <= size[1] and fg_h <= h1 - h0):
            raise damaged(f"its low resolution is {low_h}x{low_w} in {size[0]}x{size[1]}")
        if fg_w > w1 - w0 or (fg_h * fg_w == 0) != (h0 == h1):
            raise damaged(f"its foreground is {fg_h}x{fg_w} in a box {inside}")
        hidden = hidden_block(inside, size, low)
        rest = body[_LAYOUT.size :]
        if isinstance(self.coder, RawCoder):
            split = fg_h * fg_w * channels
            foreground = RawCoder().read(rest[:split], (fg_h, fg_w, channels))
            small = _with_block(rest[split:], (*low, channels), hidden)
        else:
            foreground, small = self._read_files(rest, (fg_h, fg_w), low, channels, hidden)
        pixels = enlarge(small, size, "nearest")
        if fg_h:
            if (fg_h, fg_w) != (h1 - h0, w1 - w0):
                foreground = enlarge(foreground, (h1 - h0, w1 - w0), "nearest")
            pixels[h0:h1, w0:w1] = foreground
        return pixels

    def box(self, payload: bytes) -> Box:
        """Read the box of a stored exemplar, for pictures and for Eq. 4.

        :raises UserError: if the payload is damaged or made by another codec.
        """
        height, width, _ = self._read_header(payload)
        values = _LAYOUT.unpack_from(payload.ljust(HEADER.size + _LAYOUT.size), HEADER.size)
        return check_box(values[:4], height, width)

    def _read_files(
        self, data: bytes, fg: tuple[int, int], low: tuple[int, int], channels: int, hidden: Box
    ) -> tuple[Pixels, Pixels]:
        (length,) = _LENGTH.unpack_from(data)
        first, second = data[_LENGTH.size :][:length], data[_LENGTH.size + length :]
        expect_length(first, length, "the foreground")
        foreground = np.zeros((*fg, channels), np.uint8)
        if foreground.size:
            foreground = self.coder.read(first, (*fg, channels))
        small = np.zeros((*low, channels), np.uint8)
        if _shows(low, hidden):
            small = self.coder.read(second, (*low, channels))
        return foreground, small

    def _foreground_size(self, box: Box) -> tuple[int, int]:
        height, width = box[1] - box[0], box[3] - box[2]
        if not height or self.foreground_eta == 1:
            return height, width
        return low_size(height, width, self.foreground_eta)


def hidden_block(box: Box, size: tuple[int, int], low: tuple[int, int]) -> Box:
    """Return rows and columns of the low-resolution grid that show nowhere outside the box.

    :param box: ``(h0, h1, w0, w1)`` in pixels of the image.
    :param size: Height and width of the image.
    :param low: Height and width of the grid.
    :returns: ``(r0, r1, c0, c1)``, half-open, in pixels of the grid.
    """
    r0, r1 = _hidden_range(box[0], box[1], size[0], low[0])
    c0, c1 = _hidden_range(box[2], box[3], size[1], low[1])
    return (r0, r1, c0, c1) if r0 < r1 and c0 < c1 else (0, 0, 0, 0)


def _hidden_range(start: int, stop: int, size: int, low: int) -> tuple[int, int]:
    """Return which of ``low`` cells are shown by pixels ``start`` to ``stop`` alone."""
    if start == stop:
        return 0, 0
    shown_by = nearest_index(low, size)
    first = 0 if start == 0 else int(shown_by[start - 1]) + 1
    last = low if stop == size else int(shown_by[stop])
    return first, max(first, last)


def _shows(low: tuple[int, int], hidden: Box) -> bool:
    return (hidden[1] - hidden[0]) * (hidden[3] - hidden[2]) < low[0] * low[1]


def _without_block(small: Pixels, hidden: Box) -> bytes:
    r0, r1, c0, c1 = hidden
    parts = small[:r0], small[r0:r1, :c0], small[r0:r1, c1:], small[r1:]
    return b"".join(part.tobytes() for part in parts)


def _with_block(data: bytes, shape: tuple[int, int, int], hidden: Box) -> Pixels:
    r0, r1, c0, c1 = hidden
    height, width, channels = shape
    hidden_count = (r1 - r0) * (c1 - c0)
    expect_length(data, (height * width - hidden_count) * channels, "the background")
    values = np.frombuffer(data, np.uint8)
    small = np.zeros(shape, np.uint8)
    start = 0
    for part in (small[:r0], small[r0:r1, :c0], small[r0:r1, c1:], small[r1:]):
        part[...] = values[start : start + part.size].reshape(part.shape)
        start += part.size
    return small


def _filled(small: Pixels, hidden: Box) -> Pixels:
    """Fill the block row by row with the mean of its two neighbors, to cost little in a file."""
    r0, r1, c0, c1 = hidden
    if r0 == r1:
        return small
    small = small.copy()
    edges = [small[r0:r1, column] for column in (c0 - 1, c1) if 0 <= column < small.shape[1]]
    if not edges:
        edges = [small[row : row + 1, :] for row in (r0 - 1, r1) if 0 <= row < small.shape[0]]
        small[r0:r1] = np.mean(edges, axis=0).astype(np.uint8)
        return small
    small[r0:r1, c0:c1] = np.mean(edges, axis=0).astype(np.uint8)[:, None]
    return small


def _required(box: Sequence[int] | None, height: int, width: int) -> Box:
    if box is None:
        raise UserError(
            "two-resolution exemplars need a box per image: give the buffer a rule for boxes, "
            "such as boxes='center'"
        )
    return check_box(box, height, width)
