"""How often what is predicted like this is labelled in this data: by its score, its size and its name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audit.checks.traits import log_side, logit
from audit.core.table import FloatArray, IntArray

SCORE_STEP, SCORES = 0.2, 27
"""Bins of the log odds of a score, halved, from the least that ``logit`` gives."""
SIZE_STEP, SIZES = 0.5, 28
"""Bins of the binary logarithm of the side in pixels."""
LIKE_SCORE, LIKE_SIZE = 0.35, 0.7
"""Scores and sizes this far apart are rather alike: standard deviations of the weight, in the bins' units."""
WEIGHT = 2.0
"""Predictions that a wider group weighs as much as: all of like score, of these like sizes, of these its own name."""


@dataclass(frozen=True)
class Counts:
    """Predictions by bin, each counting in the bins beside its own too, less the farther they are.

    score: (SCORES,) of any name and size. every: (SCORES, SIZES) of any name. named: (names, SCORES, SIZES).
    """

    score: FloatArray
    every: FloatArray
    named: FloatArray


@dataclass(frozen=True)
class TrackRecord:
    """likely: (names, SCORES, SIZES) share of the *other* predictions like one that no label explains that one does."""

    likely: FloatArray

    def share(self, label: IntArray, score: FloatArray, xyxy: FloatArray) -> FloatArray:
        """(n,) of the other predictions like each of these, the share that a label explains; these none does."""
        s, z = _bins(score, xyxy)
        return np.asarray(self.likely[label, s, z])


def track_record(right: Counts, wrong: Counts) -> TrackRecord:
    """From the predictions that stand for a label (right), and from those that no label explains (wrong)."""
    total_right, total_wrong = float(right.named.sum()), float(wrong.named.sum())
    share: FloatArray = np.asarray((total_right + 3) / (total_right + total_wrong + 5))
    for like, unlike in (
        (right.score[:, None], wrong.score[:, None]),
        (right.every, wrong.every),
        (right.named, wrong.named),
    ):
        share = (like + WEIGHT * share) / (like + np.maximum(unlike - 1, 0) + WEIGHT)
    return TrackRecord(share)


def counts(label: IntArray, score: FloatArray, xyxy: FloatArray, names: int) -> Counts:
    """Counts of these predictions, whose labels lie in [-1, names - 2]; -1 stands for the last name."""
    s, z = _bins(score, xyxy)
    place = ((label % names) * SCORES + s) * SIZES + z
    plain = np.bincount(place, minlength=names * SCORES * SIZES).reshape(names, SCORES, SIZES).astype(np.float64)
    by_score, by_size = _nearness(SCORES, SCORE_STEP / LIKE_SCORE), _nearness(SIZES, SIZE_STEP / LIKE_SIZE)
    used = np.flatnonzero(plain.any(axis=(1, 2)))
    named = np.zeros_like(plain)
    named[used] = by_score @ plain[used] @ by_size
    return Counts(by_score @ plain.sum(axis=(0, 2)), named.sum(axis=0), named)


def _nearness(bins: int, step: float) -> FloatArray:
    """(bins, bins) weight of each bin in each: 1 in itself."""
    apart = np.subtract.outer(np.arange(bins), np.arange(bins)) * step
    return np.asarray(np.exp(-(apart**2) / 2))


def _bins(score: FloatArray, xyxy: FloatArray) -> tuple[IntArray, IntArray]:
    s = (logit(score) - logit(np.zeros(1))) / 2 / SCORE_STEP
    z = log_side(xyxy) / SIZE_STEP
    return np.clip(s, 0, SCORES - 1).astype(np.int64), np.clip(z, 0, SIZES - 1).astype(np.int64)
