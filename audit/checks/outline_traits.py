"""Does the mask have the object's outline? The traits of labels that were compared by masks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audit.checks.evidence import Evidence, LabelEvidence
from audit.checks.habits import OCTAVES, Habits, octave, robust
from audit.checks.low_overlap import TRAITS as FIT_TRAITS
from audit.checks.low_overlap import fit_traits, low_overlap
from audit.checks.tables import Outlines
from audit.checks.traits import Candidates, above, columns, logit, relative_size
from audit.core.annotations import NO_ID
from audit.core.findings import Findings
from audit.core.table import FloatArray, IntArray
from audit.trust.planting import row_iou

TYPICAL_BOUNDARY = (0.6, 0.22)
"""Boundary IoU of labels with predictions and its spread, used until the data at hand tell better.

These are what the sets have that the weights were fitted to: masks of networks on photographs.
"""
TYPICAL_BOX = (0.78, 0.17)
"""The same of the IoU of their boxes."""
TYPICAL_GROWTH = (0.0, 0.22)
"""The same of the logarithm of their areas' ratio."""
TYPICAL_DRIFT = (0.085, 0.085)
"""The same of the way between their middles, as a share of the side."""
TYPICAL_SLIP = (0.05, 0.045)
"""The same of the way that explains the distances between their outlines best."""
FITTING = 0.75
"""IoU from which a mask that was grown or moved fits the prediction."""
MUCH = 0.1
"""Gain in IoU that noise seldom gives."""
SURPRISING = 2.0
"""Robust deviations from the usual from which a mask is more likely wrong than not, other things equal."""
TOLD_GAIN = 0.1
"""Gain in IoU from which a mask is called merged or split."""

TRAITS = (
    *FIT_TRAITS,
    "boundary surprise",  # how far the boundary IoU lies below what masks of this size usually have
    "boundary surprising",  # the same, bent to 0 or 1
    "boundary surprising and predicted surely",
    "box surprise",  # a network's box is evidence of its own beside its mask
    "box surprising",
    "box surprising and predicted surely",
    "missing part",  # the largest piece that the label leaves out
    "extra part",
    "grown",  # against what is usual between these labels and this model; negative for shrunk
    "one-sided",  # noise leaves out as much as it adds; a worn or swollen mask does not
    "drifted",
    "merged",  # several predictions fill it better than any alone
    "merged surely",
    "split",  # with another label it fills the prediction better than alone
    "outside all round",  # of a part too much or too little, most of the outline knows nothing
    "inside all round",
    "off all round, predicted surely",
    "gains by growing",
    "gains by growing, predicted surely",
    "gains by growing, by size",  # in small masks a pixel's noise is much
    "gains by moving",
    "gains by moving, predicted surely",
    "gains by moving, by size",
    "fits once grown",
    "fits once moved",
    "fits once either, by much",
    "slip",  # against what is usual for this size
    "clear slip",  # against what it leaves unexplained
)


@dataclass(frozen=True)
class OutlineHabits:
    """How well masks usually fit: boundary, box: (octaves, 2) median and robust deviation of these IoUs per size.

    slip: of the length of ``Outlines.slip`` as a share of the side. growth, drift: the same of ``Outlines.growth``
    and the length of ``Outlines.drift``, all sizes together.
    """

    boundary: FloatArray
    box: FloatArray
    slip: FloatArray
    growth: tuple[float, float]
    drift: tuple[float, float]


def outline_habits(evidence: Evidence) -> OutlineHabits:
    """What is usual in this evidence; a few mistakes change little, since medians tell."""
    o, e = evidence.outlines, matched_labels(evidence)
    size = octave(e.xyxy)
    return OutlineHabits(
        _per_size(o.boundary_iou, size, TYPICAL_BOUNDARY),
        _per_size(row_iou(e.xyxy, e.own_xyxy), size, TYPICAL_BOX),
        _per_size(_slip(o), size, TYPICAL_SLIP),
        robust(o.growth, TYPICAL_GROWTH),
        robust(np.hypot(*o.drift.T), TYPICAL_DRIFT),
    )


def outline_candidates(evidence: Evidence, habits: Habits, usual: OutlineHabits) -> Candidates:
    """Every label that was compared with its own prediction by masks; rows of the evidence's labels."""
    o = evidence.outlines
    e = matched_labels(evidence)
    score = logit(e.own_score) / 2
    size = octave(e.xyxy)
    boundary = _surprise(-o.boundary_iou, *(usual.boundary[size] * [-1, 1]).T)
    box = _surprise(-row_iou(e.xyxy, e.own_xyxy), *(usual.box[size] * [-1, 1]).T)
    growth = _surprise(o.growth, *usual.growth)
    differing = o.missing + o.extra
    mine = columns(
        np.clip(boundary, -2, 8) / 4,
        _bent(boundary),
        _bent(boundary) * score,
        np.clip(box, -2, 8) / 4,
        _bent(box),
        _bent(box) * score,
        2 * np.sqrt(o.missing_part),
        2 * np.sqrt(o.extra_part),
        np.clip(growth, -8, 8) / 4,
        np.abs(o.missing - o.extra) / np.maximum(differing, 0.05),
        np.clip(_surprise(np.hypot(*o.drift.T), *usual.drift), -2, 8) / 4,
        4 * o.merged,
        4 * o.merged * np.sqrt(o.merged_score),
        4 * o.split,
    )
    theirs = _fit(o, score, relative_size(e.xyxy), usual.slip[size])
    return Candidates(_positions(evidence), np.hstack([fit_traits(e, habits), mine[:, 1:], theirs[:, 1:]]))


def _fit(o: Outlines, score: FloatArray, size: FloatArray, usual_slip: FloatArray) -> FloatArray:
    """(n, k) how the label would have to grow or move. usual_slip: (n, 2) for each one's size."""
    round_it = 10 * o.all_round / np.maximum(o.side, 1)
    slip, gain = _slip(o), np.maximum(o.growing, o.moving)
    return columns(
        above(round_it, 0),
        above(-round_it, 0),
        np.abs(round_it) * score,
        4 * o.growing,
        4 * o.growing * score,
        4 * o.growing * size,
        4 * o.moving,
        4 * o.moving * score,
        4 * o.moving * size,
        4 * above(o.iou + o.growing, FITTING),
        4 * above(o.iou + o.moving, FITTING),
        4 * above(o.iou + gain, FITTING) * (gain > MUCH),
        np.clip(_surprise(slip, *usual_slip.T), -2, 8) / 4,
        np.clip(o.clarity, 0, 8) / 4,
    )


def _slip(o: Outlines) -> FloatArray:
    return np.asarray(np.hypot(*o.slip.T) / np.maximum(o.side, 1))


def outline_findings(evidence: Evidence, score: FloatArray) -> Findings:
    """One finding per row of ``evidence.outlines``; ``related`` is the largest other piece of a split object.

    A piece that another, likelier finding names loses its score: the two are one mistake.
    """
    o = evidence.outlines
    related = np.where(o.split >= TOLD_GAIN, o.split_with, NO_ID)
    known = np.flatnonzero(np.isin(related, o.row))
    piece = np.searchsorted(o.row, related[known])
    likelier = (score[known] > score[piece]) | ((score[known] == score[piece]) & (known < piece))
    kept = score.copy()
    kept[piece[likelier]] = 0.0
    return low_overlap(evidence, _positions(evidence), kept).replace(related=related)


def matched_labels(evidence: Evidence) -> LabelEvidence:
    """The evidence on each label in ``evidence.outlines``, in that order."""
    return evidence.labels[_positions(evidence)]


def _positions(evidence: Evidence) -> np.ndarray:
    return np.searchsorted(evidence.labels.row, evidence.outlines.row)


def _per_size(values: FloatArray, size: IntArray, typical: tuple[float, float]) -> FloatArray:
    """(octaves, 2) median and robust deviation, each size shrunk towards all of them."""
    usual = robust(values, typical)
    return np.array([robust(values[size == s], usual) for s in range(OCTAVES)])


def _bent(surprise: FloatArray) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(np.clip(SURPRISING - surprise, -50, 50))))


def _surprise(values: FloatArray, expected: FloatArray | float, spread: FloatArray | float) -> FloatArray:
    """How many deviations the values lie above what is expected."""
    return np.asarray((values - expected) / spread)


__all__ = ["TRAITS", "OutlineHabits", "matched_labels", "outline_candidates", "outline_findings", "outline_habits"]
