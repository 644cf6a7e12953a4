"""The part of a picture that a finding is about: which pixels, and as a small JPEG."""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from audit.core.table import FloatArray

MARGIN = 0.3
"""Context on each side, as a part of the longer side of what is shown."""

TIGHT_MARGIN = 0.06
"""The same, where the frame is too narrow or too low for a crop of the wanted shape."""

MIN_SIDE_PX = 96
"""A crop shows at least so many pixels of the frame each way, or the whole frame."""

ASPECT = 4 / 3
"""Width to height of a crop where the frame has room for it: that of the cards."""

LONG_SIDE_PX = 480
"""Crops are resized to this, up or down: sharp on a card, and about 35 kB."""

SHARP_PX = 320
"""From here on a crop is not enlarged, which the browser does as well and for nothing."""

BUDGET_BYTES = 9_000_000
"""All JPEGs of a report together; base64 makes 12 MB of it."""

STEPS = ((LONG_SIDE_PX, 82), (LONG_SIDE_PX, 68), (400, 60), (320, 50), (240, 40), (160, 30))
"""Longer side in pixels and JPEG quality, tried in turn until a crop fits its share of the budget."""

FAR_PX = 1e6
"""Coordinates are cut here: an invalid shape may lie anywhere."""


@dataclass(frozen=True)
class View:
    """Which pixels of a frame are shown: left, top, width and height, whole pixels."""

    x: int
    y: int
    width: int
    height: int


def view_of(boxes: FloatArray, frame_wh: tuple[int, int]) -> View:
    """The part of a frame that shows these boxes with some context.

    boxes: (k, 4) xyxy in pixels; rows that are not finite are left out, swapped corners put right.
    frame_wh: (0, 0) if unknown, then the view is not bound to the frame. No boxes, or none within
    the frame: the whole frame.
    """
    spans = _spans(boxes)
    known = min(frame_wh) > 0
    if known:
        width, height = frame_wh
        spans = np.clip(spans, 0, [width, height, width, height])
        spans = spans[(spans[:, 2] > spans[:, 0]) | (spans[:, 3] > spans[:, 1])]
    if not len(spans):
        return View(0, 0, *(frame_wh if known else (MIN_SIDE_PX, MIN_SIDE_PX)))
    low, high = spans[:, :2].min(axis=0), spans[:, 2:].max(axis=0)
    size = high - low
    across, down = size + 2 * MARGIN * float(size.max())
    across = max(across, down * ASPECT, MIN_SIDE_PX * ASPECT)
    down = max(down, across / ASPECT)
    # what the frame lacks one way is not made up for by more of it the other way
    if known and across > frame_wh[0]:
        down = max(float(size[1]) * (1 + 2 * TIGHT_MARGIN), frame_wh[0] / ASPECT)
    if known and down > frame_wh[1]:
        across = max(float(size[0]) * (1 + 2 * TIGHT_MARGIN), frame_wh[1] * ASPECT)
    centre = (low + high) / 2
    left, wide = _placed(float(centre[0]), across, frame_wh[0] if known else 0)
    top, tall = _placed(float(centre[1]), down, frame_wh[1] if known else 0)
    return View(left, top, wide, tall)


def jpeg(pixels: NDArray[np.uint8], view: View, max_bytes: int) -> bytes:
    """The view of a picture (h, w, 3) as a JPEG, made smaller and coarser until it fits, if it can."""
    crop = Image.fromarray(pixels[view.y : view.y + view.height, view.x : view.x + view.width])
    data, shown, shown_side = b"", crop, 0
    for side, quality in STEPS:
        if side != shown_side:
            shown, shown_side = _resized(crop, side), side
        stream = io.BytesIO()
        shown.save(stream, "JPEG", quality=quality)
        data = stream.getvalue()
        if len(data) <= max_bytes:
            break
    return data


def _resized(crop: Image.Image, side: int) -> Image.Image:
    """With this longer side, unless it is smaller and sharp enough."""
    longer = max(crop.size)
    if min(side, SHARP_PX) <= longer <= side:
        return crop
    size = (max(1, round(crop.width * side / longer)), max(1, round(crop.height * side / longer)))
    # as good as Lanczos' on photos in half of its time
    how = Image.Resampling.HAMMING if longer > side else Image.Resampling.BICUBIC
    return crop.resize(size, how, reducing_gap=3.0)


def data_uri(data: bytes) -> str:
    """A JPEG as an address that carries it."""
    return "data:image/jpeg;base64," + base64.b64encode(data).decode("ascii")


def _spans(boxes: FloatArray) -> FloatArray:
    finite = np.clip(boxes[np.isfinite(boxes).all(axis=1)], -FAR_PX, FAR_PX)
    return np.hstack([np.minimum(finite[:, :2], finite[:, 2:]), np.maximum(finite[:, :2], finite[:, 2:])])


def _placed(centre: float, length: float, bound: int) -> tuple[int, int]:
    """Start and length in whole pixels, pushed inside [0, bound] where there is a bound."""
    length_px = math.ceil(length)
    if not bound:
        return math.floor(centre - length / 2), length_px
    length_px = min(length_px, bound)
    return max(0, min(math.floor(centre - length / 2), bound - length_px)), length_px
