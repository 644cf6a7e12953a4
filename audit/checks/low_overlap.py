"""Does the shape sit where the object is?"""

from __future__ import annotations

import numpy as np

from audit.checks.evidence import Evidence, LabelEvidence
from audit.checks.habits import Habits, octave
from audit.checks.sides import offsets, side_evidence
from audit.checks.traits import above, columns, logit, relative_size
from audit.core.findings import Findings, FindingType
from audit.core.table import FloatArray, IntArray

SURPRISING = 2.0
"""Robust deviations below the usual overlap from which a box is more likely slipped than not, other things equal."""

SHARED_TRAITS = (
    "constant",
    "prediction score",  # log odds, halved: an unsure prediction has an unsure box
    "prediction score above 0.5",
    "surprising",  # how far the overlap lies below what labels of this size usually have, bent to 0 or 1
    "surprising and predicted surely",
    "overlap below 0.85",
    "overlap below 0.7",
    "overlap below 0.5",  # so far off that it is rather another object
    "overlap below 0.85 and predicted surely",
    "overlap below 0.7 and predicted surely",
    "size",
    "rival",  # another name fits better
    "covered by a label",  # in a crowd the prediction may be the neighbour's
)
"""Of labels compared by boxes (``box_traits``) and by masks (``outline_traits``)."""

TRAITS = (
    *SHARED_TRAITS,
    "surprise",  # surprising, but straight
    "recall of its label",
    "any name fits better",  # something is predicted just where the label is, if under another name
    "second worst side",  # one side off is an occluded object, two are a slipped box
    "sides",  # all four together: how much likelier for a slipped box than for this detector's usual looseness
    "sides speak for a slip",
    "sides speak loudly",
    "sides speak for a slip, predicted surely",
    "worst side",
    "worst side speaks for a slip",  # one side alone: a box that leaves out half the object
    "worst side speaks for a slip, predicted surely",
    "width off",
    "height off",
)
"""Of masks, by their boxes."""


def shared_traits(e: LabelEvidence, habits: Habits) -> FloatArray:
    """(n, k) the ``SHARED_TRAITS`` of labels that are matched to a prediction."""
    surprising = 1 / (1 + np.exp(np.clip(SURPRISING - _surprise(e, habits), -50, 50)))
    score = logit(e.own_score) / 2
    return columns(
        score,
        above(score, 0),
        surprising,
        surprising * score,
        4 * above(-e.own_iou, -0.85),
        4 * above(-e.own_iou, -0.7),
        4 * above(-e.own_iou, -0.5),
        4 * above(-e.own_iou, -0.85) * score,
        4 * above(-e.own_iou, -0.7) * score,
        relative_size(e.xyxy),
        np.sqrt(e.rival_support),
        e.labelled_over,
    )


def _surprise(e: LabelEvidence, habits: Habits) -> FloatArray:
    """(n,) how many deviations the overlap lies below what labels of this size usually have."""
    size = octave(e.xyxy)
    return np.asarray((habits.expected_iou[size] - e.own_iou) / habits.spread[size])


def fit_traits(e: LabelEvidence, habits: Habits) -> FloatArray:
    """(n, k) the ``TRAITS`` of labels that are matched to a prediction."""
    score = logit(e.own_score) / 2
    off = offsets(e)
    away = np.sort(np.abs(off), axis=1)
    each = side_evidence(off, habits.sides)
    slip, worst = each.sum(axis=1), each.max(axis=1)
    return np.column_stack(
        [
            shared_traits(e, habits),
            np.clip(_surprise(e, habits), -2, 8) / 4,
            logit(habits.recall(e.label, e.own_support)) / 2,
            e.any_iou - e.own_iou,
            np.clip(away[:, 2], 0, 1),
            slip / 4,
            above(slip, 0) / 4,
            above(slip, 6) / 4,
            above(slip, 0) / 4 * score,
            np.clip(away[:, 3], 0, 1),
            worst / 4,
            above(worst, 0) / 4 * score,
            np.clip(np.abs(off[:, 2] - off[:, 0]), 0, 1),
            np.clip(np.abs(off[:, 3] - off[:, 1]), 0, 1),
        ]
    )


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
        iou=e.matched_iou,
        prediction_score=e.own_score,
    )
