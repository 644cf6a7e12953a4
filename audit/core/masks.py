"""Masks as compressed COCO RLE: drawing outlines, overlap. Pixel rules are pycocotools' own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from audit.core.table import FloatArray, IntArray, ObjectArray

ELLIPSE_VERTICES = 128
LONGEST_SHIFT = 60
"""Bits of a run length; no picture needs more, and broken counts must not overflow."""


def rle_of_rings(rings: Sequence[FloatArray], hw: tuple[int, int]) -> bytes:
    """Counts of the mask that a polygon's rings fill together (union). rings: (k, 2) xy pixels each.

    Rings of fewer than three points cover nothing. hw: frame's height and width.
    """
    flat = [np.asarray(r, np.float64).ravel().tolist() for r in rings if len(r) >= 3]
    if not flat:
        return encode(np.zeros(hw, np.uint8))
    merged = coco_mask.merge(coco_mask.frPyObjects(flat, *hw))
    return bytes(merged["counts"])


def encode(mask: NDArray[Any]) -> bytes:
    """Counts of a mask. mask: (h, w), non-zero inside."""
    return bytes(coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"])


def decode(counts: bytes, hw: tuple[int, int]) -> NDArray[np.bool_]:
    """The mask (h, w). Raises ValueError if the counts do not describe a mask of this size."""
    if sum(run_lengths(counts)) != hw[0] * hw[1]:
        raise ValueError(f"mask does not fill {hw[1]} x {hw[0]} px")
    return np.asarray(coco_mask.decode({"size": list(hw), "counts": counts}), bool)


def run_lengths(counts: bytes) -> list[int]:
    """The alternating run lengths (0s first) of compressed counts, by COCO's LEB128-like code."""
    runs: list[int] = runs_of(counts).tolist()
    return runs


def runs_of(counts: bytes) -> IntArray:
    """``run_lengths`` as an array (k,). Bytes after the last whole number are left out."""
    code = np.frombuffer(counts, np.uint8).astype(np.int64) - 48
    last = np.flatnonzero((code & 0x20) == 0)
    code = code[: last[-1] + 1] if len(last) else code[:0]
    first = np.concatenate([[0], last[:-1] + 1]).astype(np.int64)[: len(last)]
    length = last - first + 1
    shift = np.minimum(5 * (np.arange(len(code)) - np.repeat(first, length)), LONGEST_SHIFT)
    values = np.add.reduceat((code & 0x1F) << shift, first) if len(first) else code
    values -= np.where(
        code[last] & 0x10, np.int64(1) << np.minimum(5 * length, LONGEST_SHIFT), 0
    )  # the sign of two's complement
    # from the fourth on, each is told as the step from the one before the last
    values[2::2], values[1::2] = values[2::2].cumsum(), values[1::2].cumsum()
    return values


def box_of(counts: bytes, hw: tuple[int, int]) -> FloatArray:
    """Tight xyxy box (4,) of a mask in pixels, half-open; zeros for an empty mask."""
    x, y, w, h = coco_mask.toBbox({"size": list(hw), "counts": counts})
    return np.array([x, y, x + w, y + h], np.float64)


def pair_iou(left: ObjectArray, right: ObjectArray, sizes: IntArray) -> FloatArray:
    """IoU of aligned pairs of masks. left, right: (k,) counts. sizes: (k, 2) height and width. Returns (k,)."""
    iou = np.zeros(len(left))
    for i, (a, b, (h, w)) in enumerate(zip(left, right, sizes.tolist(), strict=True)):
        size = [h, w]
        iou[i] = coco_mask.iou([{"size": size, "counts": a}], [{"size": size, "counts": b}], [0])[0, 0]
    return iou


def rotated_rectangle(xyxy: Sequence[float], degrees: float) -> FloatArray:
    """Corners (4, 2) of a box turned clockwise about its centre, as CVAT draws it."""
    x1, y1, x2, y2 = xyxy
    corners = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], np.float64)
    return turned(corners, degrees, ((x1 + x2) / 2, (y1 + y2) / 2))


def ellipse_outline(centre: Sequence[float], radii: Sequence[float], degrees: float = 0.0) -> FloatArray:
    """Outline (k, 2) of an ellipse turned clockwise, covering 99.96 % of its area. radii: across, down."""
    t = np.arange(ELLIPSE_VERTICES) * (2 * np.pi / ELLIPSE_VERTICES)
    points = np.column_stack([centre[0] + radii[0] * np.cos(t), centre[1] + radii[1] * np.sin(t)])
    return turned(points, degrees, centre)


def ellipse_box(
    centre: Sequence[float], radii: Sequence[float], degrees: float = 0.0
) -> tuple[float, float, float, float]:
    """The exact xyxy box around a turned ellipse."""
    (cx, cy), (rx, ry) = centre, radii
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    half_w, half_h = math.hypot(rx * cos, ry * sin), math.hypot(rx * sin, ry * cos)
    return cx - half_w, cy - half_h, cx + half_w, cy + half_h


def turned(points: FloatArray, degrees: float, centre: Sequence[float]) -> FloatArray:
    """Points (k, 2) turned clockwise as seen on screen, where y points down."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.asarray((points - np.asarray(centre)) @ np.array([[cos, sin], [-sin, cos]]) + np.asarray(centre))
