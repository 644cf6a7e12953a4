"""Is one object labelled twice?"""

from __future__ import annotations

import numpy as np

from audit.checks.evidence import Evidence
from audit.checks.habits import Habits
from audit.checks.traits import Candidates, above, columns
from audit.core.findings import Findings, FindingType
from audit.core.table import FloatArray, IntArray

TRAITS = (
    "constant",
    "overlap",
    "overlap above 0.7",
    "overlap above 0.9",
    "same name",
    "second object",  # both have a prediction of their own: two objects that stand close together
    "first object",
)


def duplicate_candidates(evidence: Evidence, _habits: Habits) -> Candidates:
    """Every pair of labels on one spot."""
    t = evidence.twins
    support, own = _supports(evidence)
    traits = columns(
        3 * t.iou,
        5 * above(t.iou, 0.7),
        10 * above(t.iou, 0.9),
        t.same,
        np.sqrt(np.minimum(own[t.left], own[t.right])),
        np.sqrt(np.maximum(support[t.left], support[t.right])),
    )
    return Candidates(np.arange(len(t)), traits)


def duplicate_annotation(evidence: Evidence, rows: IntArray, score: FloatArray) -> Findings:
    """One finding per pair of labels on one spot; it names the one that the predictions support less.

    Without a model's word the later id is named. ``related`` is the other one.
    """
    t, annotations = evidence.twins[rows], evidence.annotations
    support, _ = _supports(evidence)
    later = annotations.annotation_id[t.right] >= annotations.annotation_id[t.left]
    weaker_right = np.where(
        support[t.left] == support[t.right], later, support[t.right] < support[t.left]
    )  # an exact copy has the same support as its original
    weaker, other = np.where(weaker_right, t.right, t.left), np.where(weaker_right, t.left, t.right)
    return Findings(
        type=np.full(len(t), FindingType.DUPLICATE_ANNOTATION),
        frame=annotations.frame[weaker],
        score=score,
        annotation=weaker,
        annotation_id=annotations.annotation_id[weaker],
        related=other,
        label=annotations.label[weaker],
        suggested_label=annotations.label[other],
        xyxy=annotations.xyxy[weaker],
        suggested_xyxy=annotations.xyxy[other],
        iou=t.iou,
    )


def _supports(evidence: Evidence) -> tuple[FloatArray, FloatArray]:
    """(annotations,) support of each by its name, and by the one prediction that is matched to it."""
    e, n = evidence.labels, len(evidence.annotations)
    support, own = np.zeros(n), np.zeros(n)
    support[e.row], own[e.row] = e.own_support, np.where(e.own_prediction >= 0, e.own_score * e.own_iou, 0.0)
    return support, own
