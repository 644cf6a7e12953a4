"""Several models, one opinion: predictions of one object by different models become one."""

from __future__ import annotations

import numpy as np

from audit.core.annotations import Predictions
from audit.core.boxes import overlapping_pairs
from audit.core.matching import greedy_matching
from audit.core.table import BoolArray, FloatArray, IntArray
from audit.trust.agreement import Trust

SAME_OBJECT_IOU = 0.55
"""As weighted boxes fusion uses (Solovyev, Wang, Gabruseva 2021, "Weighted boxes fusion", section 3)."""
TINY = 1e-12
"""Keeps predictions with a score of 0 from being divided by it."""


def fuse(predictions: Predictions, knows: BoolArray, trusted: Trust | None = None) -> tuple[Predictions, IntArray]:
    """Merge the models' predictions of each object; gives them and the row of each one's best member.

    predictions: sorted by frame. knows: (models, labels) which labels each model can predict. trusted: how
    right each has been on this data; all alike if left out. A merged box is the mean of its members weighted by
    score and exactness; its score is the mean of theirs weighted by votes, over the models that know the
    label: an object that only one of three equals sees keeps a third. Predictions of models that have no vote
    on their label, though others have, are left out. One model's predictions, and those of none, are returned
    as they are.
    """
    if len(knows) <= 1:
        return predictions, np.arange(len(predictions))
    trust = trusted or Trust(knows.astype(np.float64), np.ones(len(knows)))
    heard = (trust.votes > 0) | (trust.votes.sum(axis=0) <= 0)
    rows = np.flatnonzero(heard[predictions.model, predictions.label])
    p = predictions[rows]
    weight = p.score * trust.exactness[p.model]
    vote = p.score * trust.votes[p.model, p.label]
    votes, total, box_sum = vote.copy(), weight.copy(), p.xyxy * weight[:, None]
    best = np.arange(len(p))
    fused = np.flatnonzero(p.model == 0)
    for model in range(1, len(knows)):
        new = np.flatnonzero(p.model == model)
        into, member = _same_objects(p, box_sum / np.maximum(total, TINY)[:, None], fused, new)
        box_sum[into] += p.xyxy[member] * weight[member, None]
        votes[into] += vote[member]
        total[into] += weight[member]
        better = vote[member] > vote[best[into]]
        best[into[better]] = member[better]
        fused = np.sort(np.concatenate([fused, np.setdiff1d(new, member)]))
    all_votes = np.maximum(trust.votes.sum(axis=0)[p.label[fused]], TINY)
    merged = p[fused].replace(
        score=np.clip(votes[fused] / all_votes, 0, 1),
        xyxy=box_sum[fused] / np.maximum(total[fused], TINY)[:, None],
        mask=p.mask[best[fused]],
    )
    return merged, rows[best[fused]]


def _same_objects(p: Predictions, boxes: FloatArray, fused: IntArray, new: IntArray) -> tuple[IntArray, IntArray]:
    """Rows of ``fused`` and of ``new`` that are one object: one name, enough overlap, one to one, best first.

    boxes: (n, 4) where the merged ones lie by now.
    """
    pairs = overlapping_pairs(boxes[fused], p.frame[fused], p.xyxy[new], p.frame[new])
    same = p.label[fused[pairs.left]] == p.label[new[pairs.right]]
    pairs = pairs[same & (pairs.iou >= SAME_OBJECT_IOU)]
    order = np.argsort(-pairs.iou * p.score[new[pairs.right]], kind="stable")
    chosen = greedy_matching(pairs.left, pairs.right, order, n_left=len(fused), n_right=len(new))
    return fused[pairs.left[chosen]], new[pairs.right[chosen]]
