"""Masks as compressed COCO RLE: drawing outlines, overlap. Pixel rules are pycocotools' own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from audit.core.table import FloatArray, IntArray, ObjectArray


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
    runs: list[int] = []
    value = shift = 0
    for char in counts:
        c = char - 48
        value |= (c & 0x1F) << (5 * shift)
        shift += 1
        if not c & 0x20:
            if c & 0x10:
                value |= -1 << (5 * shift)
            runs.append(value + runs[-2] if len(runs) > 2 else value)
            value = shift = 0
    return runs


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
    """Corners (4, 2) of a box turned clockwise (as on screen, y down) about its centre, as CVAT draws it."""
    x1, y1, x2, y2 = xyxy
    corners = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], np.float64)
    return _turned(corners, degrees)


def ellipse_outline(cx: float, cy: float, rx: float, ry: float, degrees: float = 0.0, steps: int = 64) -> FloatArray:
    """Outline (steps, 2) of an ellipse with half-axes rx, ry, turned clockwise; within 0.3 % of its area at 64."""
    t = np.arange(steps) * (2 * np.pi / steps)
    points = np.column_stack([cx + rx * np.cos(t), cy + ry * np.sin(t)])
    return _turned(points, degrees, np.array([cx, cy]))


def _turned(points: FloatArray, degrees: float, centre: FloatArray | None = None) -> FloatArray:
    centre = points.mean(axis=0) if centre is None else centre
    a = np.deg2rad(degrees)
    turn = np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])
    return np.asarray((points - centre) @ turn + centre)
