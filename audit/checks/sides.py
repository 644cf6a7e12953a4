"""How far each side of a label lies from that of its prediction, against what is usual for this detector."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from audit.checks.evidence import LabelEvidence
from audit.core.table import FloatArray

TYPICAL_OFFSET = 0.05
"""Usual displacement of a side, as a share of the larger box's width or height, until the data at hand tell better."""
PRIOR_COUNT = 20
"""How many labels the typical displacement weighs as much as."""
FIT_SCORE, FIT_IOU = 0.3, 0.5
"""Predictions from here up show how exactly this detector outlines."""
ENOUGH = 3000
"""About this many labels, evenly spread, tell; more only take time."""
LEAST_SPREAD = 0.01
"""Labels that a model was trained on may fit it almost exactly; a pixel more is still no surprise."""
SLIP = 0.15
"""Standard deviation of a slipped side: displacements of this size make an IoU of 0.4 to 0.8."""
TAIL, TAIL_SCALE = 0.03, 4.0
"""Share of sound sides that lie far off all the same (occluded, blurred objects), and how much further."""


@dataclass(frozen=True)
class Sides:
    """Of this detector on this data: (4,) median and robust deviation of each side's displacement.

    One for all sizes and scores: regressions on both (ridge, of logarithms) ranked slipped boxes worse.
    """

    bias: FloatArray = field(default_factory=lambda: np.zeros(4))
    spread: FloatArray = field(default_factory=lambda: np.full(4, TYPICAL_OFFSET))


def offsets(e: LabelEvidence) -> FloatArray:
    """(n, 4) way from each side of a label to its prediction's, as ``pair_offsets`` measures it; 0 without one."""
    return np.asarray(np.nan_to_num(pair_offsets(e.xyxy.T, e.own_xyxy.T)[0].T))


def pair_offsets(label: FloatArray, predicted: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(4, n) way from each side of a label to the prediction's, as a share of the larger width or height; and these.

    label, predicted: (4, n) in pixels. Of the larger of both: a label that leaves out half the object is off by a
    half then; by its own size it would be off by a whole, and look like another object rather than a slip.
    """
    wh = np.maximum(np.fmax(label[2:] - label[:2], predicted[2:] - predicted[:2]), 1)
    size = np.concatenate([wh, wh])
    return (predicted - label) / size, size


def usual_sides(e: LabelEvidence) -> Sides:
    """From confident predictions that are matched to a label; medians, so that a few slipped boxes change little."""
    sure = np.flatnonzero((e.own_prediction >= 0) & (e.own_score > FIT_SCORE) & (e.own_iou > FIT_IOU))
    if not len(sure):
        return Sides()
    sure = sure[:: -(-len(sure) // ENOUGH)]
    off, n = offsets(e[sure]), len(sure)
    bias = np.median(off, axis=0)
    deviation = 1.48 * np.median(np.abs(off - bias), axis=0)
    spread = (n * deviation + PRIOR_COUNT * TYPICAL_OFFSET) / (n + PRIOR_COUNT)
    return Sides(bias * n / (n + PRIOR_COUNT), np.maximum(spread, LEAST_SPREAD))


def side_evidence(off: FloatArray, sides: Sides) -> FloatArray:
    """(n, 4) logarithm of how much likelier each side is if the box slipped than if it is sound.

    Sound sides: a Laplace distribution of this detector's own spread, with a heavy tail. Slipped: a normal one.
    """
    away, b = np.abs(off - sides.bias), sides.spread
    sound = (1 - TAIL) * np.exp(-away / b) / (2 * b) + TAIL * np.exp(-away / b / TAIL_SCALE) / (2 * b * TAIL_SCALE)
    wide = np.hypot(SLIP, b)
    slipped = np.exp(-((away / wide) ** 2) / 2) / (wide * np.sqrt(2 * np.pi)) + 1e-4
    return np.asarray(np.clip(np.log(slipped / sound), -3, 6))
