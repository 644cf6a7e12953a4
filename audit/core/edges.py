"""How strong the edges of a picture are where the sides of a box lie, and around them.

What people outline begins and ends somewhere: along the sides of a sound box the picture changes more than just
inside or outside of them. A box that slipped has its sides where nothing ends, and a box around nothing often lies
where the picture is even. Looked at in a small grey picture: at 320 px slipped boxes and boxes around nothing rank as
well as at 640, in a quarter of the time (``scripts/bench quality --images``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.core.table import FloatArray

SIDE = 320
"""Pixels of the longer side of the pictures looked at."""
LOOKS = 3
"""Numbers per box, see ``looks``."""
SHIFTS = np.linspace(-0.4, 0.4, 17)
"""Where strips along a side lie: at the side and around it, in widths or heights of the box."""
THICKNESS, LEAST = 0.05, 1.0
"""Of a strip: as a share of the box, and in pixels."""
SLIVER = 1e-3
"""Pixels left of a strip that lies outside the picture: the edge of the picture then stands for it."""


@dataclass(frozen=True, eq=False)
class EdgeMap:
    """A grey picture's edges, summed up so that any box of them costs four look-ups.

    across: (w + 1, h + 1) sums over all left and above of how much the picture changes from left to right, the picture
    lying on its side; down: (h + 1, w + 1) the same from top to bottom. mean: of both, per pixel.
    """

    across: NDArray[np.int32]
    down: NDArray[np.int32]
    mean: float


def edge_map(grey: NDArray[np.uint8]) -> EdgeMap:
    """grey: (h, w), at least one pixel, no more than eight million (the sums must hold)."""
    across, down = _summed(grey), _summed(grey.T)
    return EdgeMap(across, down, (int(across[-1, -1]) + int(down[-1, -1])) / grey.size)


def _summed(grey: NDArray[np.uint8]) -> NDArray[np.int32]:
    """(w + 1, h + 1) sums of the differences of each pixel's left and right neighbours, the picture on its side."""
    h, w = grey.shape
    levels = grey.astype(np.int16)
    change = np.zeros((h, w), np.int32)
    change[:, 1:-1] = np.abs(levels[:, 2:] - levels[:, :-2])
    if w > 1:
        change[:, 0], change[:, -1] = (np.abs(levels[:, i] - levels[:, i - 1]) for i in (1, -1))
    np.cumsum(change, axis=0, out=change)
    total = np.zeros((w + 1, h + 1), np.int32)
    total[1:, 1:] = change.T  # turned, since adding up rows takes a fifth of the time of adding up within rows
    return np.cumsum(total, axis=0, out=total)


def looks(edges: EdgeMap, xyxy: FloatArray) -> FloatArray:
    """(n, 3) of boxes (n, 4) in pixels of that picture, all natural logarithms, means of the four sides:

    how much stronger edges are at the sides than around them; how strong they are around them; how much stronger
    that is than anywhere in the picture.
    """
    x1, y1, x2, y2 = xyxy.T
    strength = np.concatenate([_along(edges.across, x1, x2, y1, y2), _along(edges.down, y1, y2, x1, x2)], axis=1)
    around = np.log1p(strength.mean(axis=2))
    at = np.log1p(strength[:, :, len(SHIFTS) // 2])
    level = around.mean(axis=1)
    return np.column_stack([(at - around).mean(axis=1), level, level - np.log1p(edges.mean)])


def share_of_edges(looks: FloatArray) -> FloatArray:
    """(n,) how strong edges are around the sides of boxes, as a share of the whole picture's; from looks (n, 3)."""
    around, everywhere = np.expm1(looks[:, 1]), np.expm1(looks[:, 1] - looks[:, 2])
    return np.asarray((around + SLIVER) / (everywhere / 2 + SLIVER))  # of everywhere, edges of both directions count


def _along(
    total: NDArray[np.int32], near: FloatArray, far: FloatArray, low: FloatArray, high: FloatArray
) -> FloatArray:
    """(n, 2, shifts) mean change in strips along both sides: near and far, from low to high; shifts are outwards."""
    size = (far - near)[:, None]
    middle = np.stack([near[:, None] - SHIFTS * size, far[:, None] + SHIFTS * size], axis=1)
    half = np.maximum(THICKNESS * size, LEAST)[:, :, None] / 2
    left, right = _within(middle - half, middle + half, total.shape[0] - 1)
    top, bottom = (v[:, None, None] for v in _within(low, high, total.shape[1] - 1))
    inside = _sum_at(total, right, bottom) - _sum_at(total, right, top)
    inside += _sum_at(total, left, top) - _sum_at(total, left, bottom)
    return np.asarray(np.maximum(inside, 0) / ((right - left) * (bottom - top)))


def _within(start: FloatArray, stop: FloatArray, length: int) -> tuple[FloatArray, FloatArray]:
    start = np.clip(start, 0, length - SLIVER)
    return start, np.clip(stop, start + SLIVER, length)


def _sum_at(total: NDArray[np.int32], row: FloatArray, column: FloatArray) -> FloatArray:
    """The sums at places between pixels, from the four around each."""
    width = total.shape[1]
    r, c = (np.minimum(at.astype(np.int64), n - 2) for at, n in zip((row, column), total.shape, strict=True))
    down, right = row - r, column - c
    flat, place = total.ravel(), r * width + c
    above = flat[place] * (1 - right) + flat[place + 1] * right
    below = flat[place + width] * (1 - right) + flat[place + width + 1] * right
    return np.asarray(above + (below - above) * down)
