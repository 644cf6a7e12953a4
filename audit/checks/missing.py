"""Is there an object that nobody labelled?"""

from __future__ import annotations

import numpy as np

from audit.checks.evidence import Evidence
from audit.core.findings import Findings, FindingType


def missing_annotation(evidence: Evidence) -> Findings:
    """One finding per predicted object that no label explains."""
    u = evidence.unexplained
    return Findings(
        type=np.full(len(u), FindingType.MISSING_ANNOTATION),
        frame=u.frame,
        score=u.score,
        prediction=u.row,
        suggested_label=u.label,
        suggested_xyxy=u.xyxy,
        iou=u.iou,
        prediction_score=u.prediction_score,
    )
