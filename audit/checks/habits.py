"""What is usual in this data with this model: per label, how often they agree, and how well boxes fit."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from audit.checks.company import NO_COMPANY, Company, company
from audit.checks.evidence import Evidence
from audit.checks.kinship import NO_KIN, Kinship, kinship
from audit.checks.sides import Sides, usual_sides
from audit.checks.track_record import TrackRecord, counts, track_record
from audit.core.boxes import area
from audit.core.table import BoolArray, FloatArray, IntArray

PRIOR_COUNT = 5.0
"""Pseudo-observations that a label's own rates are shrunk by towards those of all labels together."""
COUNTED_SCORE = 0.3
"""Predictions from here up count in a label's precision (close to where most detectors have their best F1)."""
SEEN_SUPPORT = 0.1
"""A label has been seen by the model if its support (score × IoU) is at least this."""
TYPICAL_IOU, TYPICAL_SPREAD = 0.85, 0.08
"""Overlap of a good label with a good prediction, used until the data at hand tell better."""
IOU_PRIOR_COUNT = 10
"""How many labels the typical values weigh as much as."""
SLOPPIEST = 0.5
"""Overlaps below this are mistakes or other objects and tell nothing of how well good labels fit."""
LEAST_SPREAD = 0.02
"""Labels that a model was trained on may fit it almost exactly; a pixel more is still no surprise."""
LABELS_TO_TELL = 50.0
"""Annotations at which "this label is never used" counts by half."""
OCTAVES = 14
"""Sizes are told apart by the binary logarithm of the square root of the area in pixels."""


@dataclass(frozen=True)
class Habits:
    """Rates per label code (the last row stands for "no label"), and fit per octave of size.

    labels, seen: how many annotations, how many of them with support. right, wrong: how many confident
    predictions a label explains, how many none does; unlabelled: summed scores of the latter, faint ones too.
    record: how often what is predicted alike is labelled. expected_iou, spread: median and robust deviation
    of the overlap of matched pairs per octave. sides: how exactly this detector outlines. kin: how far the model
    itself confuses two names. company: which names are met in one frame.
    """

    labels: FloatArray
    seen: FloatArray
    right: FloatArray
    wrong: FloatArray
    unlabelled: FloatArray
    record: TrackRecord
    expected_iou: FloatArray
    spread: FloatArray
    sides: Sides = field(default_factory=Sides)
    kin: Kinship = NO_KIN
    company: Company = NO_COMPANY

    @property
    def trust(self) -> float:
        """How much it says that a label is never used: nothing in an empty task, all in a large one."""
        total = float(self.labels.sum())
        return total / (total + LABELS_TO_TELL)

    def rarity(self, label: IntArray) -> FloatArray:
        """(n,) natural logarithm of the mean number of annotations of a label used here over that of each one's."""
        used = np.maximum(np.count_nonzero(self.labels), 1)
        return np.asarray(np.log((self.labels.sum() + used) / used / (self.labels[label] + 1)))

    def recall(self, label: IntArray, own_support: FloatArray) -> FloatArray:
        """(n,) share of the *other* annotations of each one's label that the model sees. own_support: its own."""
        pooled = (self.seen.sum() + 4) / (self.labels.sum() + 5)
        seen, labels = self.seen[label] - (own_support >= SEEN_SUPPORT), np.maximum(self.labels[label] - 1, 0)
        return np.asarray((np.clip(seen, 0, labels) + PRIOR_COUNT * pooled) / (labels + PRIOR_COUNT))

    def usual_recall(self, label: IntArray) -> FloatArray:
        """(n,) share of the annotations of each one's label that the model sees."""
        pooled = (self.seen.sum() + 4) / (self.labels.sum() + 5)
        return np.asarray((self.seen[label] + PRIOR_COUNT * pooled) / (self.labels[label] + PRIOR_COUNT))

    def precision(self, label: IntArray, own_wrong: BoolArray) -> FloatArray:
        """(n,) share of the *other* confident predictions of each one's label that an annotation explains.

        own_wrong: whether each one counts among those that none does.
        """
        pooled = (self.right.sum() + 3) / (self.right.sum() + self.wrong.sum() + 5)
        right, wrong = self.right[label], np.maximum(self.wrong[label] - own_wrong, 0)
        return np.asarray((right + PRIOR_COUNT * pooled) / (right + wrong + PRIOR_COUNT))


def habits_of(evidence: Evidence, n_labels: int, kin: Kinship | None = None) -> Habits:
    """The habits in this evidence. A few mistakes in it change little: rates are shrunk, fits are medians.

    kin: if known already; else from the evidence's sample.
    """
    e, u = evidence.labels, evidence.unexplained
    size = n_labels + 1
    expected, spread = _fit(e.own_iou, octave(e.xyxy))
    return Habits(
        labels=_count(e.label, np.ones(len(e)), size),
        seen=_count(e.label, e.own_support >= SEEN_SUPPORT, size),
        right=_count(e.label, e.own_score >= COUNTED_SCORE, size),
        wrong=_count(u.label, u.prediction_score >= COUNTED_SCORE, size),
        expected_iou=expected,
        spread=spread,
        sides=usual_sides(e),
        kin=kinship(evidence.sample.predictions) if kin is None else kin,
        unlabelled=_count(u.label, u.prediction_score, size),
        record=_record(evidence, size),
        company=company(evidence.scenes),
    )


def octave(xyxy: FloatArray) -> IntArray:
    """(n,) binary logarithm of the side length, whole, from 0 to ``OCTAVES`` - 1."""
    side = np.sqrt(area(xyxy))
    return np.clip(np.log2(np.maximum(side, 1)), 0, OCTAVES - 1).astype(np.int64)


def _record(evidence: Evidence, names: int) -> TrackRecord:
    e, u = evidence.labels, evidence.unexplained
    own = np.flatnonzero(e.own_prediction >= 0)
    right = counts(e.label.take(own), e.own_score.take(own), e.xyxy.take(own, axis=0), names)
    return track_record(right, counts(u.label, u.prediction_score, u.xyxy, names))


def _count(label: IntArray, weight: np.ndarray, size: int) -> FloatArray:
    return np.bincount(label % size, weights=weight, minlength=size).astype(np.float64)


def _fit(iou: FloatArray, group: IntArray) -> tuple[FloatArray, FloatArray]:
    """Median and robust deviation per group, shrunk towards those of all, and these towards the typical values."""
    good = np.flatnonzero(iou > SLOPPIEST)
    iou, group = iou.take(good), group.take(good)
    usual = robust(iou, (TYPICAL_IOU, TYPICAL_SPREAD))
    rows = [robust(iou[group == size], usual) for size in range(OCTAVES)]
    expected, spread = np.array(rows).T
    return expected, spread


def robust(values: FloatArray, before: tuple[float, float]) -> tuple[float, float]:
    """Median and 1.48 × median absolute deviation (a normal distribution's standard deviation)."""
    if not len(values):
        return before
    weight = len(values) / (len(values) + IOU_PRIOR_COUNT)
    median = float(np.median(values))
    deviation = 1.48 * float(np.median(np.abs(values - median)))
    return (
        weight * median + (1 - weight) * before[0],
        max(weight * deviation + (1 - weight) * before[1], LEAST_SPREAD),
    )
