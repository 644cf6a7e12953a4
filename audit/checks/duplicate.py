"""Is one object labelled twice?"""

from __future__ import annotations

import numpy as np

from audit.checks.evidence import Evidence
from audit.core.findings import Findings, FindingType
from audit.trust import scoring


def duplicate_annotation(evidence: Evidence) -> Findings:
    """One finding per pair of labels on one spot; it names the one that the predictions support less.

    Without a model's word the later id is named. ``related`` is the other one.
    """
    t, e, annotations = evidence.twins, evidence.labels, evidence.annotations
    support, own = np.zeros(len(annotations)), np.zeros(len(annotations))
    support[e.row], own[e.row] = e.own_support, np.where(e.own_prediction >= 0, e.own_score * e.own_iou, 0.0)
    later = annotations.annotation_id[t.right] >= annotations.annotation_id[t.left]
    weaker_right = np.where(
        support[t.left] == support[t.right], later, support[t.right] < support[t.left]
    )  # an exact copy has the same support as its original
    weaker, other = np.where(weaker_right, t.right, t.left), np.where(weaker_right, t.left, t.right)
    # two labels that both have a prediction of their own are two objects that stand close together
    second = np.minimum(own[weaker], own[other])
    return Findings(
        type=np.full(len(t), FindingType.DUPLICATE_ANNOTATION),
        frame=annotations.frame[weaker],
        score=scoring.duplicate_annotation(t.iou, second),
        annotation=weaker,
        annotation_id=annotations.annotation_id[weaker],
        related=other,
        label=annotations.label[weaker],
        suggested_label=annotations.label[other],
        xyxy=annotations.xyxy[weaker],
        suggested_xyxy=annotations.xyxy[other],
        iou=t.iou,
    )
