"""Does the shape sit where the object is?"""

from __future__ import annotations

import numpy as np

from audit.checks.evidence import Evidence, LabelEvidence
from audit.checks.habits import Habits, octave
from audit.checks.sides import offsets, slip_evidence
from audit.checks.traits import Candidates, above, columns, logit, relative_size
from audit.core.findings import Findings, FindingType
from audit.core.table import FloatArray, IntArray

SURPRISING = 2.0
"""Robust deviations below the usual overlap from which a box is more likely slipped than not, other things equal."""

SNUG = 0.9
"""Labels that overlap more with a prediction of their name are not considered: no one would draw them again."""

TRAITS = (
    "constant",
    "prediction score",  # log odds, halved: an unsure prediction has an unsure box
    "prediction score above 0.5",
    "surprise",  # how far the overlap lies below what labels of this size usually have
    "surprising",  # the same, bent to 0 or 1
    "surprising and predicted surely",
    "overlap below 0.85",
    "overlap below 0.7",
    "overlap below 0.5",  # so far off that it is rather another object
    "overlap below 0.85 and predicted surely",
    "second worst side",  # one side off is an occluded object, two are a slipped box
    "size",
    "rival",  # another name fits better
    "covered by a label",  # in a crowd the prediction may be the neighbour's
    "recall of its label",
    "sides",  # all four together: how much likelier for a slipped box than for this detector's usual looseness
    "sides speak for a slip",
    "sides speak loudly",
    "sides speak for a slip, predicted surely",
    "worst side",
    "worst side speaks for a slip",  # one side alone: a box that leaves out half the object
    "worst side speaks for a slip, predicted surely",
    "overlap below 0.7 and predicted surely",
    "width off",
    "height off",
    "any name fits better",  # something is predicted just where the label is, if under another name
)


def low_overlap_candidates(evidence: Evidence, habits: Habits) -> Candidates:
    """Every label that a prediction of its name is loosely matched to, by boxes; masks have ``outline_candidates``."""
    every = evidence.labels
    rows = np.flatnonzero((every.own_prediction >= 0) & (every.own_iou < SNUG) & ~every.masked)
    return Candidates(rows, fit_traits(every if len(rows) == len(every) else every[rows], habits))


def fit_traits(e: LabelEvidence, habits: Habits) -> FloatArray:
    """(n, k) the ``TRAITS`` of labels that are matched to a prediction."""
    size = octave(e.xyxy)
    surprise = (habits.expected_iou[size] - e.own_iou) / habits.spread[size]
    surprising = 1 / (1 + np.exp(np.clip(SURPRISING - surprise, -50, 50)))
    score = logit(e.own_score) / 2
    off = offsets(e)
    each = slip_evidence(off, habits.sides)
    slip, worst = each.sum(axis=1), each.max(axis=1)
    return columns(
        score,
        above(score, 0),
        np.clip(surprise, -2, 8) / 4,
        surprising,
        surprising * score,
        4 * above(-e.own_iou, -0.85),
        4 * above(-e.own_iou, -0.7),
        4 * above(-e.own_iou, -0.5),
        4 * above(-e.own_iou, -0.85) * score,
        second_worst_side(e.xyxy, e.own_xyxy),
        relative_size(e.xyxy),
        np.sqrt(e.rival_support),
        e.labelled_over,
        logit(habits.recall(e.label, e.own_support)) / 2,
        slip / 4,
        above(slip, 0) / 4,
        above(slip, 6) / 4,
        above(slip, 0) / 4 * score,
        np.clip(np.abs(off).max(axis=1), 0, 1),
        worst / 4,
        above(worst, 0) / 4 * score,
        4 * above(-e.own_iou, -0.7) * score,
        np.clip(np.abs(off[:, 2] - off[:, 0]), 0, 1),
        np.clip(np.abs(off[:, 3] - off[:, 1]), 0, 1),
        e.any_iou - e.own_iou,
    )


def second_worst_side(xyxy: FloatArray, predicted: FloatArray) -> FloatArray:
    """(n,) second largest displacement of a side, as a share of the label's width or height, at most 1."""
    wh = np.maximum(xyxy[:, 2:] - xyxy[:, :2], 1)
    moved = np.abs(xyxy - predicted) / np.hstack([wh, wh])
    return np.asarray(np.clip(np.sort(np.nan_to_num(moved), axis=1)[:, 2], 0, 1))


def low_overlap(evidence: Evidence, rows: IntArray, score: FloatArray) -> Findings:
    """One finding per label; it proposes the matched prediction's box."""
    e = evidence.labels[rows]
    return Findings(
        type=np.full(len(e), FindingType.LOW_OVERLAP),
        frame=e.frame,
        score=score,
        annotation=e.row,
        annotation_id=evidence.annotations.annotation_id[e.row],
        prediction=e.own_prediction,
        label=e.label,
        suggested_label=e.label,
        xyxy=e.xyxy,
        suggested_xyxy=e.own_xyxy,
        iou=e.own_iou,
        prediction_score=e.own_score,
    )
