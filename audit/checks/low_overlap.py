"""Does the shape sit where the object is?"""

from __future__ import annotations

import numpy as np

from audit.checks.evidence import Evidence
from audit.core.boxes import area
from audit.core.findings import Findings, FindingType
from audit.trust import scoring


def low_overlap(evidence: Evidence) -> Findings:
    """One finding per label whose matched prediction lies elsewhere than labels of its size usually do."""
    every = evidence.labels
    matched = np.flatnonzero(every.own_prediction >= 0)
    e = every[matched]
    expected, spread = scoring.expected_overlap(e.own_iou, np.sqrt(area(e.xyxy)))
    return Findings(
        type=np.full(len(e), FindingType.LOW_OVERLAP),
        frame=e.frame,
        score=scoring.low_overlap(e.own_score, e.own_iou, expected, spread),
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
