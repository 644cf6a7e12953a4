"""Does an outline cross itself? Needs no model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from audit.core.boxes import Pairs, pairs_within
from audit.core.table import BoolArray, FloatArray, IntArray

WIDER_PX = 1e-6
"""Edges' boxes are made so much wider, since upright and level edges have no area to overlap by."""


def looped_share(rings: Sequence[FloatArray]) -> FloatArray:
    """(n,) of each closed ring (k, 2), the share of its area that lies in loops where it crosses itself.

    A crossing cuts a ring in two loops, of which the smaller one goes the wrong way round or lies over the other; the
    worst crossing counts. 0 for a ring that does not cross itself, 0.5 for a figure of eight. Edges that only touch,
    or run along each other, do not cross: outlines of masks with bridges to their holes do that.
    """
    share = np.zeros(len(rings))
    every, ring = _edges(rings)
    count = np.bincount(ring, minlength=len(rings))
    pairs = pairs_within(_boxes(every), ring)
    pairs = pairs[_cross(every[pairs.left], every[pairs.right])]
    first = np.cumsum(count) - count
    np.maximum.at(share, ring[pairs.left], _loops(every, pairs, ring, first, count))
    return share


def _edges(rings: Sequence[FloatArray]) -> tuple[FloatArray, IntArray]:
    """(m, 4) edges of all rings from x1, y1 to x2, y2, each ring's closing one last, and (m,) the ring of each.

    Vertices that repeat the one before, and rings with a coordinate that is no number, give none.
    """
    if not rings:
        return np.zeros((0, 4)), np.zeros(0, np.int64)
    points = np.concatenate(rings).astype(np.float64, copy=False)
    count = np.array([len(ring) for ring in rings])
    last, ring = np.cumsum(count) - 1, np.repeat(np.arange(len(rings)), count)
    following = np.append(points[1:], points[:1], axis=0)
    drawn = count > 0
    following[last[drawn]] = points[(last - count + 1)[drawn]]
    broken = np.unique(ring[~np.isfinite(points).all(axis=1)])
    kept = (points != following).any(axis=1) & ~np.isin(ring, broken)
    return np.hstack([points, following])[kept], ring[kept]


def _boxes(edges: FloatArray) -> FloatArray:
    low, high = np.minimum(edges[:, :2], edges[:, 2:]), np.maximum(edges[:, :2], edges[:, 2:])
    return np.hstack([low - WIDER_PX, high + WIDER_PX])


def _cross(a: FloatArray, b: FloatArray) -> BoolArray:
    """(n,) whether the ends of each edge lie strictly on both sides of the other."""
    return np.asarray((_side(a, b[:, :2]) * _side(a, b[:, 2:]) < 0) & (_side(b, a[:, :2]) * _side(b, a[:, 2:]) < 0))


def _side(edge: FloatArray, point: FloatArray) -> FloatArray:
    """(n,) 1, -1 or 0: on which side of the line through an edge a point lies."""
    (dx, dy), (px, py) = (edge[:, 2:] - edge[:, :2]).T, (point - edge[:, :2]).T
    turn = dx * py - dy * px
    scale = np.abs(dx * py) + np.abs(dy * px)
    return np.where(np.abs(turn) <= 1e-12 * scale, 0.0, np.sign(turn))


def _loops(edges: FloatArray, pairs: Pairs, ring: IntArray, first: IntArray, count: IntArray) -> FloatArray:
    """(n,) the smaller loop that each crossing cuts off, as a share of both.

    By the shoelace formula, whose sums along a ring are differences of running sums.
    """
    x1, y1, x2, y2 = edges.T
    running = np.append(0.0, np.cumsum(x1 * y2 - x2 * y1))
    i, j = pairs.left, pairs.right
    at = _meeting(edges[i], edges[j])
    inner = running[j] - running[i + 1]
    inner = inner + _shoelace(at, edges[i, 2:]) + _shoelace(edges[j, :2], at)
    start = first[ring[i]]
    whole = running[start + count[ring[i]]] - running[start]
    one, other = np.abs(inner), np.abs(whole - inner)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.nan_to_num(np.minimum(one, other) / (one + other)))


def _meeting(a: FloatArray, b: FloatArray) -> FloatArray:
    """(n, 2) where two edges that cross do so."""
    along, across = a[:, 2:] - a[:, :2], b[:, 2:] - b[:, :2]
    between = b[:, :2] - a[:, :2]
    turn = along[:, 0] * across[:, 1] - along[:, 1] * across[:, 0]
    step = (between[:, 0] * across[:, 1] - between[:, 1] * across[:, 0]) / turn
    return np.asarray(a[:, :2] + step[:, None] * along)


def _shoelace(a: FloatArray, b: FloatArray) -> FloatArray:
    return np.asarray(a[:, 0] * b[:, 1] - b[:, 0] * a[:, 1])
