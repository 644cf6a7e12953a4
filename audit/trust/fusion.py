"""Several models, one opinion: predictions of one object by different models become one."""

from __future__ import annotations

import numpy as np

from audit.core.annotations import Predictions
from audit.core.boxes import overlapping_pairs
from audit.core.matching import greedy_matching
from audit.core.table import BoolArray, IntArray

SAME_OBJECT_IOU = 0.55
"""As weighted boxes fusion uses (Solovyev, Wang, Gabruseva 2021, "Weighted boxes fusion", section 3)."""


def fuse(predictions: Predictions, knows: BoolArray) -> tuple[Predictions, IntArray]:
    """Merge the models' predictions of each object; gives them and the row of each one's best member.

    predictions: sorted by frame. knows: (models, labels) which labels each model can predict. A
    merged box is the score-weighted mean of its members; its score is the sum of theirs divided by
    the number of models that know the label, so an object only one of three models sees keeps a third.
    One model's predictions, and those of none, are returned as they are.
    """
    if len(knows) <= 1:
        return predictions, np.arange(len(predictions))
    weighted = predictions.xyxy * predictions.score[:, None]
    total, best, box_sum = predictions.score.copy(), np.arange(len(predictions)), weighted.copy()
    fused = np.flatnonzero(predictions.model == 0)
    for model in range(1, len(knows)):
        new = np.flatnonzero(predictions.model == model)
        into, member = _same_objects(predictions, box_sum, total, fused, new)
        total[into] += predictions.score[member]
        box_sum[into] += weighted[member]
        better = predictions.score[member] > predictions.score[best[into]]
        best[into[better]] = member[better]
        fused = np.sort(np.concatenate([fused, np.setdiff1d(new, member)]))
    return _merged(predictions, fused, total, box_sum, knows).replace(mask=predictions.mask[best[fused]]), best[fused]


def _same_objects(
    predictions: Predictions, box_sum: np.ndarray, total: np.ndarray, fused: IntArray, new: IntArray
) -> tuple[IntArray, IntArray]:
    """Rows of ``fused`` and of ``new`` that are one object: one name, enough overlap, one to one, best first."""
    p = predictions
    boxes = box_sum[fused] / total[fused, None]
    pairs = overlapping_pairs(boxes, p.frame[fused], p.xyxy[new], p.frame[new])
    same = p.label[fused[pairs.left]] == p.label[new[pairs.right]]
    pairs = pairs[same & (pairs.iou >= SAME_OBJECT_IOU)]
    order = np.argsort(-pairs.iou * p.score[new[pairs.right]], kind="stable")
    chosen = greedy_matching(pairs.left, pairs.right, order, n_left=len(fused), n_right=len(new))
    return fused[pairs.left[chosen]], new[pairs.right[chosen]]


def _merged(
    predictions: Predictions, rows: IntArray, total: np.ndarray, box_sum: np.ndarray, knows: BoolArray
) -> Predictions:
    voters = np.maximum(knows.sum(axis=0)[predictions.label[rows]], 1)
    return predictions[rows].replace(score=total[rows] / voters, xyxy=box_sum[rows] / total[rows, None])
