"""Is the shape one at all? Needs no model."""

from __future__ import annotations

import numpy as np

from audit.checks.crossing import looped_share
from audit.checks.evidence import Evidence
from audit.core.annotations import Annotations, ShapeType
from audit.core.findings import Findings, FindingType
from audit.core.masks import run_lengths
from audit.core.table import FloatArray, IntArray, present

OUTSIDE_SHARE = 0.05
"""A box may stick out of the picture this far (rounding, padding) before it is reported."""
OUTSIDE_WEIGHT = 1.2
"""A box that sticks out a little is a small matter, and often a slipped one: that name comes first then."""
LOOPED_SHARE = 0.02
"""A loop smaller than this share of the shape is a slip of the hand at one vertex: it changes hardly a pixel."""
LOOPED_WEIGHT = 2.0
"""A figure of eight (half of it in the loop) cannot be right."""
THIN_PX = 1.0
"""A side shorter than this shows nothing."""

REASONS = (
    "",
    "a coordinate is not a number",
    "the corners are swapped",
    "the shape has no area",
    "the shape lies outside the image",
    "part of the shape lies outside the image",
    "the outline has fewer than three points",
    "the mask is empty",
    "the outline crosses itself",
)


def invalid_shape(evidence: Evidence) -> Findings:
    """One finding per shape that cannot be right."""
    a = evidence.annotations
    reason, score = faults(a, evidence.frame_hw)
    rows = np.flatnonzero(reason > 0)
    return Findings(
        type=np.full(len(rows), FindingType.INVALID_SHAPE),
        frame=a.frame[rows],
        score=score[rows],
        annotation=rows,
        annotation_id=a.annotation_id[rows],
        label=a.label[rows],
        xyxy=a.xyxy[rows],
    )


def faults(annotations: Annotations, frame_hw: IntArray) -> tuple[IntArray, FloatArray]:
    """For each annotation the index of its worst fault in ``REASONS`` (0: none) and the score of that.

    frame_hw: (frames, 2) height and width, 0 if unknown (then nothing is said of "outside").
    """
    a = annotations
    reason, score = _box_faults(a.xyxy, a.shape, frame_hw[a.frame])
    drawn = np.flatnonzero(present(a.points) & (a.shape == ShapeType.POLYGON))
    few, empty = np.zeros((2, len(a)), bool)
    few[drawn] = [max(map(len, a.points[row]), default=0) < 3 for row in drawn.tolist()]
    masked = np.flatnonzero(present(a.mask))
    empty[masked] = [len(run_lengths(a.mask[row])) < 2 for row in masked.tolist()]
    looped = _looped(a)
    crosses = (looped >= LOOPED_SHARE) & (LOOPED_WEIGHT * looped > score)
    reason = np.where(crosses, 8, reason)
    score = np.where(crosses, np.minimum(LOOPED_WEIGHT * looped, 1.0), score)
    for mask, code in ((few, 6), (empty, 7)):
        reason, score = np.where(mask, code, reason), np.where(mask, 1.0, score)
    skipped = a.crowd | (a.shape == ShapeType.TAG)
    return np.where(skipped, 0, reason), np.where(skipped, 0.0, score)


def _looped(annotations: Annotations) -> FloatArray:
    """(n,) how much of each polygon lies in loops of its outline; of several rings the worst counts."""
    drawn = np.flatnonzero(annotations.shape == ShapeType.POLYGON)
    rings = [(row, ring) for row in drawn.tolist() for ring in annotations.points[row] or ()]
    share = np.zeros(len(annotations))
    rows = np.array([row for row, _ in rings], np.int64)
    np.maximum.at(share, rows, looped_share([ring for _, ring in rings]))
    return share


def _box_faults(xyxy: FloatArray, shape: IntArray, hw: IntArray) -> tuple[IntArray, FloatArray]:
    """Worst fault of each box and its score; 0 and 0 for none."""
    x1, y1, x2, y2 = xyxy.T
    h, w = hw.T
    known = (h > 0) & (w > 0)
    areal = ~np.isin(shape, (ShapeType.POLYLINE, ShapeType.POINTS, ShapeType.SKELETON, ShapeType.TAG))
    with np.errstate(invalid="ignore", divide="ignore"):
        visible = np.clip(np.minimum(x2, w) - np.maximum(x1, 0), 0, None) * np.clip(
            np.minimum(y2, h) - np.maximum(y1, 0), 0, None
        )
        outside = 1 - visible / ((x2 - x1) * (y2 - y1))
        tests = [
            (~np.isfinite(xyxy).all(axis=1), 1, 1.0),
            (((x2 < x1) | (y2 < y1)), 2, 1.0),
            (areal & ((x2 - x1 < THIN_PX) | (y2 - y1 < THIN_PX)), 3, 1.0),
            (known & areal & (visible <= 0), 4, 1.0),
            (known & areal & (outside > OUTSIDE_SHARE), 5, np.clip(OUTSIDE_WEIGHT * outside, 0, 1)),
        ]
    reason, score = np.zeros(len(xyxy), np.int64), np.zeros(len(xyxy))
    for applies, code, value in reversed(tests):
        reason, score = np.where(applies, code, reason), np.where(applies, value, score)
    return reason, score
