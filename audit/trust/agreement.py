"""How right each of several models has been on this data: by its agreement with the labels, faint predictions too."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audit.core.annotations import Annotations, Predictions
from audit.core.boxes import overlapping_pairs
from audit.core.matching import greedy_matching
from audit.core.table import BoolArray, FloatArray, IntArray

AGREE_IOU = 0.5
"""Overlap from which a prediction and a label of one name are one object."""
PRIOR_COUNT = 10.0
"""Labels that a name's own agreement is shrunk by towards that of all names together."""
SHARPNESS = 2.0
"""Votes go by the agreement to this power: of 0, 1, 2 and 4, two was best or nearly so on every set tried."""
LEAST = 0.02
"""A model that agrees with nothing keeps this, so that a label only it knows is not lost."""
HEARD = 0.05
"""A model with a smaller share of the best one's votes is not asked: noise covers what the others say.

Real models of every strength tried had a third or more, shuffled predictions a thousandth."""
FEWEST = 5
"""Labels from which on it is no accident that a model agrees with none."""
SURE = 0.3
"""Predictions from here up show how exactly a model outlines."""
TYPICAL_MISFIT, MISFIT_COUNT = 0.15, 5.0
"""One less the usual overlap of a right prediction, and how many predictions that weighs as much as."""


@dataclass(frozen=True)
class Trust:
    """votes: (models, labels) what each model's score counts. exactness: (models,) what its box counts."""

    votes: FloatArray
    exactness: FloatArray


def trust_in(annotations: Annotations, predictions: Predictions, knows: BoolArray) -> Trust:
    """From labels and the predictions of all models on the same frames, both sorted by frame.

    knows: (models, labels) which labels each model can predict; elsewhere it has no vote. The labels hold
    mistakes, but the same ones for every model. Boxes count by one over the fourth power of the usual misfit:
    the square, as for independent measurements of one thing, leaves more to the loose ones than slipped labels bear.
    A model that agrees with next to nothing has no vote on labels that a better one knows.
    """
    parts = [predictions[predictions.model == m] for m in range(len(knows))]
    scored = [_scored(annotations, p, knows.shape[1]) for p in parts]
    votes = np.array([agreement for agreement, _ in scored]).reshape(knows.shape) * knows
    named = np.bincount(annotations.label[annotations.label >= 0], minlength=knows.shape[1])[: knows.shape[1]]
    return Trust(_heard(votes, named), np.array([misfit for _, misfit in scored]) ** -4.0)


def _heard(votes: FloatArray, named: IntArray) -> FloatArray:
    """The votes, without those of models not worth hearing beside others. named: (labels,) how many of each."""
    known = votes > 0
    own, best = votes @ named, known @ (votes.max(axis=0, initial=0.0) * named)
    noise = ((own < HEARD * best) & (known @ named >= FEWEST))[:, None]
    better = (known & ~noise).any(axis=0)
    return np.where(noise & better, 0.0, votes)


def _scored(annotations: Annotations, predictions: Predictions, n_labels: int) -> tuple[FloatArray, float]:
    """(labels,) votes of one model, and its usual misfit."""
    right, iou = _right(annotations, predictions)
    order = np.argsort(-predictions.score, kind="stable")
    named = np.bincount(annotations.label[annotations.label >= 0], minlength=n_labels)[:n_labels]
    pooled = _average_precision(right[order], np.zeros(len(order), np.int64), 1) / max(len(annotations), 1)
    order = order[np.argsort(predictions.label[order], kind="stable")]
    own = _average_precision(right[order], predictions.label[order], n_labels)
    agreement = (own + PRIOR_COUNT * pooled) / (named + PRIOR_COUNT)
    sure = iou[right & (predictions.score >= SURE)]
    misfit = 1 - float(np.median(sure)) if len(sure) else TYPICAL_MISFIT
    misfit = (len(sure) * misfit + MISFIT_COUNT * TYPICAL_MISFIT) / (len(sure) + MISFIT_COUNT)
    return np.maximum(agreement, LEAST) ** SHARPNESS, misfit


def _right(annotations: Annotations, predictions: Predictions) -> tuple[BoolArray, FloatArray]:
    """(predictions,) whether each is matched to a label of its name, best scores first; and their overlap."""
    a, p = annotations, predictions
    pairs = overlapping_pairs(a.xyxy, a.frame, p.xyxy, p.frame)
    pairs = pairs[(a.label[pairs.left] == p.label[pairs.right]) & (pairs.iou >= AGREE_IOU)]
    order = np.lexsort([-pairs.iou, -p.score[pairs.right]])
    chosen = greedy_matching(pairs.left, pairs.right, order, n_left=len(a), n_right=len(p))
    right, iou = np.zeros(len(p), bool), np.zeros(len(p))
    right[pairs.right[chosen]], iou[pairs.right[chosen]] = True, pairs.iou[chosen]
    return right, iou


def _average_precision(right: BoolArray, group: np.ndarray, n: int) -> FloatArray:
    """(n,) per group, best first within each: precision at each right prediction, summed."""
    if not len(right):
        return np.zeros(n)
    start = np.searchsorted(group, group)
    hits = np.cumsum(right)
    before = np.where(start > 0, hits[start - 1], 0)
    precision = (hits - before) / (np.arange(len(right)) - start + 1)
    return np.bincount(group, weights=precision * right, minlength=n)[:n].astype(np.float64)
