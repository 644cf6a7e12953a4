"""Is it called by its name?"""

from __future__ import annotations

import numpy as np

from audit.checks.evidence import Evidence
from audit.core.findings import Findings, FindingType
from audit.trust import scoring


def mismatching_label(evidence: Evidence) -> Findings:
    """One finding per label at whose place another name has more support than its own."""
    every = evidence.labels
    e = every[np.flatnonzero(every.rival_support > every.own_support)]
    return Findings(
        type=np.full(len(e), FindingType.MISMATCHING_LABEL),
        frame=e.frame,
        score=scoring.mismatching_label(e.rival_support, e.own_support),
        annotation=e.row,
        annotation_id=evidence.annotations.annotation_id[e.row],
        prediction=e.rival_prediction,
        label=e.label,
        suggested_label=e.rival_label,
        xyxy=e.xyxy,
        suggested_xyxy=e.rival_xyxy,
        iou=e.rival_iou,
        prediction_score=e.rival_score,
    )
