"""Is there anything at all where this label is?"""

from __future__ import annotations

import numpy as np

from audit.checks.evidence import Evidence
from audit.core.boxes import area
from audit.core.findings import Findings, FindingType
from audit.trust import scoring


def extra_annotation(evidence: Evidence) -> Findings:
    """One finding per label, by how little the predictions support it."""
    e = evidence.labels
    recall = scoring.recall_by_label(e.own_support, e.label)
    side = np.sqrt(area(e.xyxy))
    return Findings(
        type=np.full(len(e), FindingType.EXTRA_ANNOTATION),
        frame=e.frame,
        score=scoring.extra_annotation(e.own_support, e.any_support, side, recall[e.label]),
        annotation=e.row,
        annotation_id=evidence.annotations.annotation_id[e.row],
        label=e.label,
        xyxy=e.xyxy,
        iou=e.own_iou,
        prediction_score=e.own_score,
    )
