"""CVAT's masks (runs and a box) and COCO's run-length codes of the whole frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

MAX_MASK_PIXELS = 400_000_000
"""A mask's box above this is not painted: twice the largest picture that is decoded at all."""


class MaskError(ValueError):
    """These numbers are not a mask; the text says why in a few words."""


def split_points(points: Sequence[float]) -> tuple[NDArray[np.int64], tuple[int, int, int, int]]:
    """CVAT's ``points`` of a mask: its runs, and its box ``(left, top, right, bottom)`` with the last pixel included.

    Runs are of the box's pixels row by row, zeros first. Fractions are rounded. Raises MaskError.
    """
    values = np.asarray(points, dtype=np.float64)
    if len(values) < 5 or not np.isfinite(values).all() or np.abs(values).max() > 2**40:
        raise MaskError("has no runs or no box")
    whole = np.rint(values).astype(np.int64)
    left, top, right, bottom = (int(v) for v in whole[-4:])
    if right < left or bottom < top or (whole[:-4] < 0).any():
        raise MaskError("has an inverted box or a negative run")
    return whole[:-4], (left, top, right, bottom)


def rle_from_points(points: Sequence[float], size_hw: tuple[int, int]) -> tuple[bytes | None, str]:
    """The counts of a compressed COCO RLE of a frame of this size, and a sentence if something was wrong.

    What lies outside of the frame is cut off. Runs that do not fill the box are taken as followed by
    zeros, those beyond it are cut off; both are said. ``None`` if there is no telling what is meant.
    """
    try:
        runs, box = split_points(points)
    except MaskError as error:
        return None, f"the mask {error}"
    width, height = box[2] - box[0] + 1, box[3] - box[1] + 1
    if width * height > MAX_MASK_PIXELS or min(size_hw) < 1:
        return None, f"the mask's box of {width} x {height} px cannot be painted"
    filled = int(runs.sum())
    problem = "" if filled == width * height else f"the mask's runs give {filled} of {width * height} pixels"
    return _encode(_crop(runs, height, width), box, size_hw), problem


def points_from_rle(counts: bytes, size_hw: tuple[int, int]) -> list[int]:
    """The inverse: CVAT's ``points`` with the tightest box. Raises MaskError for a mask without any pixel."""
    pixels = coco_mask.decode({"counts": counts, "size": list(size_hw)})
    rows, columns = np.flatnonzero(pixels.any(1)), np.flatnonzero(pixels.any(0))
    if not len(rows):
        raise MaskError("is empty")
    top, bottom, left, right = int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])
    flat = pixels[top : bottom + 1, left : right + 1].ravel()
    edges = np.flatnonzero(np.diff(flat.astype(np.int8), prepend=0))
    runs = np.diff(np.concatenate([[0], edges, [len(flat)]]))
    return [*(int(r) for r in runs), left, top, right, bottom]


def _crop(runs: NDArray[np.int64], height: int, width: int) -> NDArray[np.uint8]:
    """The box's pixels, (height, width)."""
    ends = np.minimum(np.cumsum(runs), height * width)
    flat = np.zeros(height * width, np.uint8)
    for start, end in zip(ends[0::2], ends[1::2], strict=False):  # a last run of zeros has no end
        flat[start:end] = 1
    return flat.reshape(height, width)


def _encode(crop: NDArray[np.uint8], box: tuple[int, int, int, int], size_hw: tuple[int, int]) -> bytes:
    """COCO counts column by column, so only the frame's columns under the box are ever in memory."""
    (frame_h, frame_w), (left, top, right, bottom) = size_hw, box
    x0, x1, y0, y1 = max(left, 0), min(right + 1, frame_w), max(top, 0), min(bottom + 1, frame_h)
    columns = np.zeros((max(x1 - x0, 0), frame_h), np.uint8)
    if x1 > x0 and y1 > y0:
        columns[:, y0:y1] = crop[y0 - top : y1 - top, x0 - left : x1 - left].T
    flat = columns.ravel()
    edges = np.flatnonzero(np.diff(flat.astype(np.int8), prepend=0, append=0)) + x0 * frame_h
    counts = np.diff(np.concatenate([[0], edges, [frame_h * frame_w]])).tolist()
    if counts[-1] == 0:  # the frame's last pixel is inside: COCO writes no empty run behind it
        counts.pop()
    encoded = coco_mask.frPyObjects({"counts": counts, "size": [frame_h, frame_w]}, frame_h, frame_w)
    return bytes(encoded["counts"])
