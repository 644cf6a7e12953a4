"""How far each side of a label lies from that of its prediction, against what is usual for this detector."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from audit.checks.evidence import LabelEvidence
from audit.core.table import FloatArray

TYPICAL_OFFSET = 0.05
"""Usual displacement of a side, as a share of the larger box's width or height, until the data at hand tell better."""
TYPICAL_PIXELS = 1.0
"""What people and detectors round to, added to it."""
PRIOR_COUNT = 20
"""How many labels the typical displacement weighs as much as."""
FIT_SCORE, FIT_IOU = 0.3, 0.5
"""Predictions from here up show how exactly this detector outlines."""
ENOUGH = 3000
"""About this many labels, evenly spread, tell; more only take time."""
LEAST_SHARE = 0.005
"""Of a large box; what pixels leave of it."""
LEAST_SPREAD = 0.01
"""Labels that a model was trained on may fit it almost exactly; a pixel more is still no surprise."""
SLIP = 0.15
"""Standard deviation of a slipped side: displacements of this size make an IoU of 0.4 to 0.8."""
TAIL, TAIL_SCALE = 0.03, 4.0
"""Share of sound sides that lie far off all the same (occluded, blurred objects), and how much further."""


@dataclass(frozen=True)
class Sides:
    """Of this detector on this data: (4,) median and robust deviation of each side's displacement.

    The deviation of a box of a given width or height is ``share`` (4,) of it and ``pixels``: how fine a network
    looks bounds how exact it is on small objects. One for all scores: deviations that grow as scores fall ranked
    slipped boxes worse.
    """

    bias: FloatArray = field(default_factory=lambda: np.zeros(4))
    spread: FloatArray = field(default_factory=lambda: np.full(4, TYPICAL_OFFSET))
    share: FloatArray = field(default_factory=lambda: np.full(4, TYPICAL_OFFSET))
    pixels: float = TYPICAL_PIXELS

    def usual(self, size: FloatArray) -> FloatArray:
        """(4, n) deviation of each side. size: (4, n) width or height in pixels."""
        return self.share[:, None] + self.pixels / size


def offsets(e: LabelEvidence) -> FloatArray:
    """(n, 4) way from each side of a label to its prediction's, as a share of the label's width or height; 0 without.

    For masks: a piece of an object that was split is off by more than its own size, which tells it from a mask that
    is merely loose (``scripts/bench masks``: .69, by the larger of both sizes .67).
    """
    wh = np.maximum(e.xyxy[:, 2:] - e.xyxy[:, :2], 1)
    return np.asarray(np.nan_to_num((e.own_xyxy - e.xyxy) / np.hstack([wh, wh])))


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
    way, size = pair_offsets(e.xyxy[sure].T, e.own_xyxy[sure].T)
    trust = len(sure) / (len(sure) + PRIOR_COUNT)
    bias = np.median(way, axis=1)
    away = np.abs(way - bias[:, None])
    spread = trust * 1.48 * np.median(away, axis=1) + (1 - trust) * TYPICAL_OFFSET
    spread = np.maximum(spread, LEAST_SPREAD)
    share, pixels = _by_size(away, size)
    share = (1 - trust / 2) * spread + trust / 2 * share * spread / spread.mean()
    return Sides(bias * trust, spread, share, (1 - trust / 2) * TYPICAL_PIXELS + trust / 2 * pixels)


def _by_size(away: FloatArray, size: FloatArray) -> tuple[float, float]:
    """Share and pixels that explain the median displacement of the smaller and of the larger half of all sides.

    The caller goes half of the way to them: the two medians are rough, and all of the way ranked slipped boxes worse.
    """
    small = size <= np.median(size)
    if small.all():
        return 1.48 * float(np.median(away)), 0.0
    (low, low_px), (high, high_px) = ((1.48 * np.median(away[h]), np.median(size[h])) for h in (small, ~small))
    pixels = np.clip((low - high) / (1 / low_px - 1 / high_px), 0, low * low_px)
    return max(float(high - pixels / high_px), LEAST_SHARE), float(pixels)


def side_evidence(off: FloatArray, sides: Sides) -> FloatArray:
    """(n, 4) logarithm of how much likelier each side is if the box slipped than if it is sound.

    Sound sides: a Laplace distribution of this detector's own spread, with a heavy tail. Slipped: a normal one.
    """
    away, b = np.abs(off - sides.bias), sides.spread
    sound = (1 - TAIL) * np.exp(-away / b) / (2 * b) + TAIL * np.exp(-away / b / TAIL_SCALE) / (2 * b * TAIL_SCALE)
    wide = np.hypot(SLIP, b)
    slipped = np.exp(-((away / wide) ** 2) / 2) / (wide * np.sqrt(2 * np.pi)) + 1e-4
    return np.asarray(np.clip(np.log(slipped / sound), -3, 6))
