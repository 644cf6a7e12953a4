"""What else says where the object ends that a label should fit: other predictions, other labels, the frame's border."""

from __future__ import annotations

import numpy as np

from audit.checks.overlaps import at, highest
from audit.checks.tables import LabelEvidence, Nearby
from audit.core.annotations import Predictions
from audit.core.boxes import Pairs
from audit.core.table import BoolArray, FloatArray, IntArray

SNUG = 0.9
"""Labels that overlap more with a prediction of their name are not considered: no one would draw them again."""
NEAR_IOU = 0.3
"""Predictions that overlap a label less tell nothing of where its sides should be."""
AT_BORDER = 0.02
"""A side this close to the frame's border, as a share of the box's width or height, lies on it."""


def may_have_slipped(e: LabelEvidence) -> BoolArray:
    """(n,) labels that a prediction of their name is matched to, but none fits snugly."""
    return (e.own_prediction >= 0) & (e.own_iou < SNUG)


def nearby(e: LabelEvidence, told: IntArray, predictions: Predictions, pairs: Pairs) -> Nearby:
    """Predictions beside the own one. e: of all labels, told: those wanted, ascending; ``row`` is that in e."""
    wanted = np.zeros(len(e), bool)
    wanted[told] = True
    wanted &= may_have_slipped(e)
    near = np.flatnonzero(pairs.iou >= NEAR_IOU)
    left, right = pairs.left.take(near), pairs.right.take(near)
    chosen = np.flatnonzero(wanted.take(left) & (right != e.own_prediction.take(left)))
    left, right = left.take(chosen), right.take(chosen)
    return Nearby(row=left, xyxy=predictions.xyxy.take(right, axis=0), score=predictions.score.take(right))


def own_shared(own: IntArray, n_predictions: int, pairs: Pairs) -> FloatArray:
    """(labels,) the best overlap of each label's own prediction with another label of its name; 0 without.

    pairs: those of one name.
    """
    others = np.flatnonzero(own.take(pairs.left) != pairs.right)
    return at(highest(pairs.right.take(others), pairs.iou.take(others), n_predictions), own, 0.0)


def sides_at_border(xyxy: FloatArray, frame_hw: IntArray) -> IntArray:
    """(n,) how many sides of each box lie on its frame's border. frame_hw: (n, 2); 0, of no known size, has none."""
    (left, top, right, bottom), (height, width) = np.array(xyxy.T, order="C"), np.array(frame_hw.T, order="C")
    near_x, near_y = AT_BORDER * (right - left), AT_BORDER * (bottom - top)
    sides = (np.abs(left) <= near_x, np.abs(top) <= near_y, np.abs(width - right) <= near_x)
    count = sum((s.astype(np.int64) for s in sides), np.abs(height - bottom) <= near_y)
    return np.asarray(count * ((height > 0) & (width > 0)))
