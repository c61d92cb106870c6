"""Draw exemplars as they are stored, their boxes, and where the network looks."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Protocol

import matplotlib
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

_CELL = 72  # pixels
_GAP = 4
_MARGIN = 34  # for the class
_COLUMNS = 6  # at least, so that sheets with few exemplars are drawn at the scale of others
_BOX = (255, 210, 0)
_PAGE_QUALITY = 80
_HEAT = 0.5  # how much of a heat map shows


class Picture(Protocol):
    """What is drawn; see :class:`cl_strategies.plugins.masking.exemplar_pictures.StoredPicture`."""

    @property
    def label(self) -> int: ...
    @property
    def pixels(self) -> npt.NDArray[np.uint8]: ...
    @property
    def box(self) -> tuple[int, int, int, int] | None: ...
    @property
    def heat(self) -> npt.NDArray[np.float32] | None: ...


def sheet_png(pictures: Sequence[Picture]) -> bytes:
    """Draw a row of pictures for each class, with a row of heat maps below it if there are any.

    :returns: a PNG file; ``b""`` without pictures.
    """
    if not pictures:
        return b""
    labels = sorted({picture.label for picture in pictures})
    rows = [[p for p in pictures if p.label == label] for label in labels]
    heated = any(picture.heat is not None for picture in pictures)
    step = _CELL + _GAP
    lines = 2 if heated else 1
    width = _MARGIN + max(_COLUMNS, *map(len, rows)) * step + _GAP
    height = len(rows) * (lines * step + _GAP) + _GAP
    sheet = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default()
    for k, row in enumerate(rows):
        top = _GAP + k * (lines * step + _GAP)
        draw.text((6, top + _CELL // 2 - 6), str(row[0].label), fill="black", font=font)
        for j, picture in enumerate(row):
            left = _MARGIN + j * step
            sheet.paste(_fitted(picture.pixels), (left, top))
            if picture.box is not None and picture.box[0] < picture.box[1]:
                draw.rectangle(_placed(picture, left, top), outline=_BOX, width=2)
            if picture.heat is not None:
                sheet.paste(_heated(picture), (left, top + step))
    file = io.BytesIO()
    sheet.save(file, "PNG", optimize=True)
    return file.getvalue()


def data_uri(png: bytes) -> str:
    """Encode a sheet for a page: as WebP, a fraction of its bytes, where Pillow can write that."""
    kind, data = "png", png
    try:
        with Image.open(io.BytesIO(png), formats=("PNG",)) as picture:
            file = io.BytesIO()
            picture.save(file, "WEBP", quality=_PAGE_QUALITY)
        kind, data = "webp", file.getvalue()
    except (OSError, KeyError, ValueError, SyntaxError):  # no WebP here, or pixels that are damaged
        pass
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _fitted(pixels: npt.NDArray[np.uint8]) -> Image.Image:
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).convert("RGB")
    larger = max(image.size) < _CELL
    return image.resize(
        (_CELL, _CELL), Image.Resampling.NEAREST if larger else Image.Resampling.BOX
    )


def _placed(picture: Picture, left: int, top: int) -> tuple[int, int, int, int]:
    """Return the box on the sheet."""
    height, width = picture.pixels.shape[:2]
    h0, h1, w0, w1 = picture.box or (0, 0, 0, 0)
    return (
        left + round(w0 * _CELL / width),
        top + round(h0 * _CELL / height),
        left + round(w1 * _CELL / width) - 1,
        top + round(h1 * _CELL / height) - 1,
    )


def _heated(picture: Picture) -> Image.Image:
    """Draw the picture in gray below its heat map in color."""
    heat = np.zeros(picture.pixels.shape[:2]) if picture.heat is None else picture.heat
    colors = matplotlib.colormaps["inferno"](heat)[:, :, :3] * 255
    gray = picture.pixels.mean(2, keepdims=True)
    mixed = _HEAT * colors + (1 - _HEAT) * gray
    return _fitted(mixed.round().astype(np.uint8))
