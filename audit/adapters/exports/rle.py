"""Run-length masks: every spelling in exports becomes the counts of a compressed COCO RLE.

Runs are checked before pycocotools sees them: its C code trusts them and would read past their end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from audit.adapters.pictures import MAX_PIXELS
from audit.core.table import IntArray


class ShapeError(ValueError):
    """This one shape cannot be read; the text says why in a few words."""


def from_coco(segmentation: dict[str, Any], size_hw: tuple[int, int]) -> bytes:
    """Counts from COCO's ``{"size": [h, w], "counts": list or text}``. Raises ShapeError.

    size_hw: the frame's, ``(0, 0)`` if unknown; the mask must have the same.
    """
    size = segmentation.get("size")
    if not isinstance(size, (list, tuple)) or len(size) != 2 or not all(isinstance(v, int) and v > 0 for v in size):
        raise ShapeError("its RLE has no size [height, width]")
    hw = (int(size[0]), int(size[1]))
    if size_hw not in ((0, 0), hw):
        raise ShapeError(f"its RLE is {hw[1]} x {hw[0]} px, the image {size_hw[1]} x {size_hw[0]}")
    counts = segmentation.get("counts")
    if isinstance(counts, (str, bytes)):
        text = counts.encode("ascii", "replace") if isinstance(counts, str) else counts
        _check(_decompressed(text), hw)
        return text
    return from_runs(counts, hw)


def from_runs(counts: Any, size_hw: tuple[int, int]) -> bytes:
    """Counts from a list of runs in column order, first of zeros. Raises ShapeError."""
    runs = _runs(counts)
    _check(runs, size_hw)
    h, w = size_hw
    packed = coco_mask.frPyObjects({"size": [h, w], "counts": runs.tolist()}, h, w)
    return bytes(packed["counts"])


def from_cvat(counts: Sequence[Any], box_ltwh: tuple[int, int, int, int], size_hw: tuple[int, int]) -> bytes:
    """Counts from CVAT's mask: runs in row order, first of zeros, inside a box. Raises ShapeError.

    Parts of the box outside of the frame are cut off. size_hw: the frame's, must be known.
    """
    left, top, w, h = box_ltwh
    frame_h, frame_w = size_hw
    if w <= 0 or h <= 0:
        raise ShapeError(f"its mask has a box of {w} x {h} px")
    if frame_h * frame_w == 0:
        raise ShapeError("it is a mask and the size of its image is unknown")
    runs = _runs(counts)
    _check(runs, (h, w))
    values = np.arange(len(runs), dtype=np.uint8) % 2
    bitmap = np.repeat(values, runs).reshape(h, w)
    x1, y1, x2, y2 = max(left, 0), max(top, 0), min(left + w, frame_w), min(top + h, frame_h)
    if x1 >= x2 or y1 >= y2:
        raise ShapeError("its mask lies outside of the image")
    seen = bitmap[y1 - top : y2 - top, x1 - left : x2 - left]
    return from_runs(_column_runs(seen, (x1, y1), size_hw), size_hw)


def _column_runs(bitmap: np.ndarray, at_xy: tuple[int, int], size_hw: tuple[int, int]) -> list[int]:
    """Runs in column order of a whole frame that holds the bitmap at this place; never makes the frame."""
    x, y = at_xy
    h, w = size_hw
    columns = np.zeros((bitmap.shape[1], h), np.int8)
    columns[:, y : y + bitmap.shape[0]] = bitmap.T
    flat = np.concatenate([[0], columns.ravel(), [0]]).astype(np.int8)
    edges = x * h + np.flatnonzero(np.diff(flat))
    return [int(v) for v in np.diff(np.concatenate([[0], edges, [h * w]]))]


def _runs(counts: Any) -> IntArray:
    try:
        values = np.asarray(counts, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise ShapeError("its RLE holds something other than numbers") from None
    if values.ndim != 1 or not (np.isfinite(values) & (values >= 0) & (values == np.floor(values))).all():
        raise ShapeError("its RLE holds something other than whole numbers from 0 up")
    if values.sum() > MAX_PIXELS:
        raise ShapeError(f"its RLE covers more than the {MAX_PIXELS / 1e6:.0f} megapixels allowed")
    return values.astype(np.int64)


def _check(runs: IntArray, size_hw: tuple[int, int]) -> None:
    pixels, total = size_hw[0] * size_hw[1], int(runs.sum())
    if pixels > MAX_PIXELS:
        raise ShapeError(f"its mask is over the {MAX_PIXELS / 1e6:.0f} megapixels allowed")
    if (runs < 0).any() or total != pixels:
        raise ShapeError(f"its RLE covers {total} px of {size_hw[1]} x {size_hw[0]} = {pixels}")


def _decompressed(text: bytes) -> IntArray:
    """The runs in COCO's compressed text: groups of 5 bits, low first, differences from the run before last."""
    codes = np.frombuffer(text, np.uint8).astype(np.int64) - 48
    if not len(codes) or (codes < 0).any() or (codes > 63).any() or codes[-1] & 0x20:
        raise ShapeError("its compressed RLE is broken")
    ends = np.flatnonzero((codes & 0x20) == 0)
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > 7:  # 35 bits: more than any run of MAX_PIXELS needs
        raise ShapeError("its compressed RLE is broken")
    place = np.arange(len(codes)) - np.repeat(starts, lengths)
    values = np.add.reduceat((codes & 0x1F) << (5 * place), starts)
    negative = (codes[ends] & 0x10) != 0
    values[negative] -= np.int64(1) << (5 * lengths[negative])
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values


def enclosing_xyxy(counts: bytes, size_hw: tuple[int, int]) -> tuple[float, float, float, float]:
    """The box around a mask's pixels; zeros if it has none."""
    x, y, w, h = coco_mask.toBbox({"size": list(size_hw), "counts": counts}).tolist()
    return x, y, x + w, y + h
