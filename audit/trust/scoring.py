"""How likely each finding is a mistake: the only place where scores are computed.

All scores lie in [0, 1] on one scale, so that findings of all types rank together. They come from
what the model predicted down to a score of 0.01: a faint prediction is evidence too. The numbers
were chosen on labels with planted mistakes (scripts/bench quality), not derived; a later version
calibrates them to probabilities.
"""

from __future__ import annotations

import numpy as np

from audit.core.table import FloatArray, IntArray

OTHER_LABEL_DISCOUNT = 0.7
"""A box of another label at the same place is probably the wrong name, not a missing label."""
TYPICAL_IOU, TYPICAL_SPREAD = 0.85, 0.08
"""Overlap of a good label with a good prediction, used until the data at hand tell better."""
PRIOR_COUNT = 20
"""How many labels the typical values weigh as much as."""
SMALL_SIDE_PX = 24.0
"""Objects of this side length are missed by detectors about half the time (COCO's small is < 32 px)."""


def missing(
    score: FloatArray, iou_same: FloatArray, iou_other: FloatArray, inside_same: FloatArray, crowd: FloatArray
) -> FloatArray:
    """An object is predicted where no label is. All (n,) in [0, 1].

    iou_same, iou_other: best overlap with a label of the same, of another name. inside_same: the
    share of the prediction that lies inside one label of its own name (parts of an object that is
    labelled). crowd: share inside a crowd region of its name.
    """
    free = (1 - iou_same) * (1 - OTHER_LABEL_DISCOUNT * iou_other)
    part = 1 - 0.5 * np.clip((inside_same - 0.7) / 0.3, 0, 1)
    return np.asarray(score * free * part * (1 - crowd))


def low_overlap(score: FloatArray, iou: FloatArray, expected: FloatArray, spread: FloatArray) -> FloatArray:
    """The label's box is worse than boxes of its size usually are.

    score: the matched prediction's. iou: best overlap with any prediction of the label's name.
    expected, spread: median and robust deviation of that overlap for labels of this size.
    """
    surprise = (expected - iou) / spread
    return np.asarray(score * _logistic(surprise - 2.5) * np.clip((0.9 - iou) / 0.2, 0, 1))


def mismatching_label(rival: FloatArray, own: FloatArray) -> FloatArray:
    """Support for another name that no label of that name explains, minus support for the label's own."""
    return np.asarray(np.clip(rival - own, 0, 1))


def extra_annotation(own: FloatArray, anything: FloatArray, side_px: FloatArray, recall: FloatArray) -> FloatArray:
    """Nothing of this name is predicted at the label.

    own, anything: support by predictions of the label's own name, of any. side_px: square root of the
    box's area. recall: how much support labels of this name usually get.
    """
    unsupported = (1 - np.sqrt(own)) * (1 - 0.5 * np.sqrt(anything))
    visible = side_px / (side_px + SMALL_SIDE_PX)
    return np.asarray(unsupported * visible * recall)


def duplicate_annotation(iou: FloatArray, second_support: FloatArray) -> FloatArray:
    """Two labels on one object. iou: their overlap. second_support: that of the weaker by a prediction of its own."""
    return np.asarray(np.clip((iou - 0.4) / 0.4, 0, 1) * (1 - 0.9 * np.sqrt(second_support)))


def expected_overlap(iou: FloatArray, side_px: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Expected IoU and its spread at each size, from this task's own matched labels. iou, side_px: (n,); NaN allowed.

    Median and 1.48 × median absolute deviation per octave of size, each with ``PRIOR_COUNT``
    pseudo-observations of the typical value, so that few labels change little and a few mistakes nothing.
    """
    octave = np.clip(np.nan_to_num(np.log2(np.maximum(side_px, 1))), 0, 12).astype(np.int64)
    expected, spread = np.full(13, TYPICAL_IOU), np.full(13, TYPICAL_SPREAD)
    for size in np.unique(octave):
        values = iou[(octave == size) & (iou > 0.5)]
        if len(values):
            weight = len(values) / (len(values) + PRIOR_COUNT)
            median = np.median(values)
            deviation = 1.48 * np.median(np.abs(values - median))
            expected[size] = weight * median + (1 - weight) * TYPICAL_IOU
            spread[size] = max(weight * deviation + (1 - weight) * TYPICAL_SPREAD, 0.02)
    return expected[octave], spread[octave]


def recall_by_label(own: FloatArray, label: IntArray) -> FloatArray:
    """(highest label code + 1,) share of each label's annotations that have some support, shrunk towards 0.8."""
    seen = np.bincount(label, weights=own > 0.1)
    total = np.bincount(label)
    return np.asarray((seen + 0.8 * PRIOR_COUNT / 4) / (total + PRIOR_COUNT / 4))


def _logistic(x: FloatArray) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -50, 50))))
