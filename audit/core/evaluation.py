"""COCO's average precision, for judging how right a model is on labels at hand."""

from __future__ import annotations

import numpy as np

from audit.core.annotations import Annotations, Predictions
from audit.core.boxes import overlapping_pairs
from audit.core.matching import greedy_matching
from audit.core.table import BoolArray, FloatArray

RECALL_STEPS = np.linspace(0, 1, 101)
"""COCO samples precision at these recalls."""


def average_precision(annotations: Annotations, predictions: Predictions, *, iou: float = 0.5) -> dict[int, float]:
    """AP of each label that has annotations, at one IoU threshold, over boxes, all areas, any number of detections.

    Rows of both must be sorted by frame. Crowd annotations neither count nor punish, as in COCO.
    Agrees with pycocotools' COCOeval (tests/oracles).
    """
    return {
        int(label): _ap(*_hits(annotations[annotations.label == label], predictions[predictions.label == label], iou))
        for label in np.unique(annotations.label[~annotations.crowd])
    }


def _hits(annotations: Annotations, predictions: Predictions, threshold: float) -> tuple[FloatArray, BoolArray, int]:
    """Scores and hits of the predictions that count, best first, and the number of annotations to find."""
    real, crowd = annotations[~annotations.crowd], annotations[annotations.crowd]
    pairs = overlapping_pairs(real.xyxy, real.frame, predictions.xyxy, predictions.frame)
    pairs = pairs[pairs.iou >= min(threshold, 1 - 1e-10)]
    order = np.lexsort([-pairs.iou, pairs.right, -predictions.score[pairs.right]])
    chosen = greedy_matching(pairs.left, pairs.right, order, n_left=len(real), n_right=len(predictions))
    hit = np.zeros(len(predictions), bool)
    hit[pairs.right[chosen]] = True
    in_crowd = overlapping_pairs(crowd.xyxy, crowd.frame, predictions.xyxy, predictions.frame)
    sides = predictions.xyxy[in_crowd.right]
    own_area = (sides[:, 2] - sides[:, 0]) * (sides[:, 3] - sides[:, 1])
    ignored = np.zeros(len(predictions), bool)
    ignored[in_crowd.right[in_crowd.shared / own_area >= threshold]] = True
    counts = hit | ~ignored
    best_first = np.argsort(-predictions.score[counts], kind="stable")
    return predictions.score[counts][best_first], hit[counts][best_first], len(real)


def _ap(scores: FloatArray, hit: BoolArray, positives: int) -> float:
    if not len(scores) or not positives:
        return 0.0
    found = np.cumsum(hit)
    precision = found / np.arange(1, len(hit) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(found / positives, RECALL_STEPS, "left")
    return float(np.append(precision, 0.0)[np.minimum(at, len(precision))].mean())
