"""How much likelier the predictions around a label are if it slipped off its object than if it fits.

Every prediction that overlaps the label, of whatever name, may be the one that outlines the object; its score says
how likely. What a label of a given place and size is worth is therefore summed over all of them: one that a faint
prediction fits at all four sides is as sound as one that a sure prediction fits nearly.
"""

from __future__ import annotations

import numpy as np

from audit.checks.evidence import LabelEvidence
from audit.checks.sides import Sides, pair_offsets
from audit.checks.tables import Nearby
from audit.core.table import FloatArray, IntArray

SLIP = 0.12
"""Added to it where a side slipped: displacements of this size make an IoU of 0.4 to 0.8."""
MOVED, MOVE = 0.1, 0.2
"""Share of slipped boxes that were moved as a whole, and how far: opposite sides went the same way."""
CUT, CUT_OFF = 0.1, 0.4
"""Share of slipped boxes of which one side alone is off, and how far: half of the object may be left out."""
BLOCK = 4096
"""Predictions looked at in one go: the columns at work stay in the processor's cache."""
LEAST, MOST = -12.0, 24.0
"""Nothing is surer than that (natural logarithm of the ratio)."""


def slip_evidence(e: LabelEvidence, sides: Sides, nearby: Nearby) -> FloatArray:
    """(n,) logarithm of the ratio, of labels that are matched to a prediction. nearby: of these and any others."""
    label, xyxy, score = _around(e, nearby)
    density = np.empty((2, len(label)))
    for start in range(0, len(label), BLOCK):
        rows = slice(start, start + BLOCK)
        boxes, predicted = e.xyxy.take(label[rows], axis=0), xyxy[rows]
        density[:, rows] = _densities(np.ascontiguousarray(boxes.T), np.ascontiguousarray(predicted.T), sides)
    slipped, sound = (np.maximum(np.bincount(label, score * d, len(e)), 1e-30) for d in density)
    return np.asarray(np.clip(np.log(slipped / sound), LEAST, MOST))


def _around(e: LabelEvidence, nearby: Nearby) -> tuple[IntArray, FloatArray, FloatArray]:
    """Of each label's own prediction and those near it: position of the label, box, score."""
    place = np.searchsorted(e.row, nearby.row)
    ours = np.flatnonzero(np.append(e.row, -1).take(place) == nearby.row)
    label = np.concatenate([np.arange(len(e)), place.take(ours)])
    xyxy = np.concatenate([e.own_xyxy, nearby.xyxy.take(ours, axis=0)])
    return label, xyxy, np.concatenate([e.own_score, nearby.score.take(ours)])


def _densities(label: FloatArray, predicted: FloatArray, sides: Sides) -> tuple[FloatArray, FloatArray]:
    """(n,) of the displacements of all four sides, if the label slipped and if it is sound. label, predicted: (4, n).

    Sound: a Cauchy distribution of this detector's usual displacement for each side. Its tail is heavy, since one
    side may lie far off a sound label's (a hidden or blurred part); a Laplace distribution with a share of wide
    ones, and Student's with 2 to 4 degrees of freedom, ranked worse. Slipped: in one of three ways; Student's with
    3 degrees of freedom for each side, or for each axis where the box moved as a whole, or for one side alone.
    Products, not sums of logarithms: four densities are far from the limits of a float.
    """
    way, size = pair_offsets(label, predicted)
    way -= sides.bias[:, None]
    usual = sides.usual(size)
    sound = _cauchy(way, usual)
    all_sound = _product(sound)
    one_by_one = _product(_student(way, usual + SLIP))
    middle, growth = (way[:2] + way[2:]) / 2, way[2:] - way[:2]
    moved = _product(_student(middle, MOVE)) * _product(_cauchy(growth, usual[:2] + usual[2:]))
    cut = all_sound * (_student(way, usual + CUT_OFF) / sound).sum(axis=0) / 4
    return (1 - MOVED - CUT) * one_by_one + MOVED * moved + CUT * cut, all_sound


def _cauchy(way: FloatArray, scale: FloatArray) -> FloatArray:
    return np.asarray(scale / (np.pi * (scale * scale + way * way)))


def _student(way: FloatArray, scale: FloatArray | float) -> FloatArray:
    """Student's t with 3 degrees of freedom."""
    z = way / scale
    root = 1 + z * z / 3
    return np.asarray(2 / (np.sqrt(3) * np.pi) / (scale * root * root))


def _product(of_sides: FloatArray) -> FloatArray:
    """(n,) of two or four rows."""
    half = of_sides[::2] * of_sides[1::2]
    return np.asarray(half[0] * half[1] if len(half) > 1 else half[0])
