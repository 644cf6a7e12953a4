"""Small helpers for traits: what speaks for and against a finding, as numbers of the size of one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audit.core.boxes import area
from audit.core.table import FloatArray, IntArray

TYPICAL_SIDE_PX = 64.0
"""Sizes are compared with this side length: the middle of COCO's "medium", 32 to 96 px."""


@dataclass(frozen=True)
class Candidates:
    """Rows of the evidence (n,) that may become a finding of one type, and their traits (n, k)."""

    rows: IntArray
    traits: FloatArray


def columns(*values: np.ndarray) -> FloatArray:
    """The traits side by side, with a constant one in front. Each (n,)."""
    traits = np.empty((len(values[0]), len(values) + 1), order="F")  # written column by column, three times as fast
    traits[:, 0] = 1
    for i, value in enumerate(values, start=1):
        traits[:, i] = value
    return traits


def from_zero(frame: IntArray) -> IntArray:
    """(n,) frames counted from the first of them: sums by frame then cost as much late in a dataset as early."""
    return frame - frame.min() if len(frame) else frame


def logit(p: FloatArray) -> FloatArray:
    """Log odds, within ±5.3: a detector's 0.999 is not ten times as sure as its 0.99."""
    p = np.clip(p, 0.005, 0.995)
    return np.asarray(np.log(p / (1 - p)))


def above(values: FloatArray, bend: float) -> FloatArray:
    """How far values lie above a bend: lets a straight line turn there."""
    return np.asarray(np.maximum(values - bend, 0))


def relative_size(xyxy: FloatArray) -> FloatArray:
    """Half the binary logarithm of the side length against a typical one: about -2 to 2."""
    return np.asarray(np.log2(np.maximum(np.sqrt(area(xyxy)), 2) / TYPICAL_SIDE_PX) / 2)


def log_side(xyxy: FloatArray) -> FloatArray:
    """(n,) binary logarithm of the side, the square root of the area in pixels; of 2 pixels at least."""
    return np.asarray(np.log2(np.maximum(np.sqrt(area(xyxy)), 2)))
