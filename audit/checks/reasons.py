"""One sentence per finding that says why it is there."""

from __future__ import annotations

import numpy as np

from audit.checks.invalid import REASONS, faults
from audit.core.annotations import Snapshot
from audit.core.findings import Findings, FindingType
from audit.core.table import IntArray


def with_reasons(findings: Findings, snapshot: Snapshot, frame_hw: IntArray) -> Findings:
    """The findings with their reasons in words; numbers as whole percents."""
    fault = _faults(findings, snapshot, frame_hw)
    names = (*snapshot.labels, "")
    columns = (findings.type, findings.label, findings.suggested_label, findings.iou, findings.prediction_score)
    rows = zip(*(c.tolist() for c in columns), strict=True)
    reasons = [
        REASONS[fault[i]].capitalize() + "."
        if kind == FindingType.INVALID_SHAPE
        else _sentence(kind, names[label], names[suggested], iou, score)
        for i, (kind, label, suggested, iou, score) in enumerate(rows)
    ]
    return findings.replace(reason=np.array([*reasons, None], dtype=object)[:-1])


def _faults(findings: Findings, snapshot: Snapshot, frame_hw: IntArray) -> IntArray:
    """(n,) the index in ``REASONS`` of each invalid shape's fault; 0 for findings of other types."""
    invalid = np.flatnonzero(findings.type == FindingType.INVALID_SHAPE)
    found = np.zeros(len(findings), np.int64)
    found[invalid] = faults(snapshot.annotations[findings.annotation[invalid]], frame_hw)[0]
    return found


def _sentence(kind: int, label: str, suggested: str, iou: float, score: float) -> str:
    if kind == FindingType.MISSING_ANNOTATION:
        near = f"the closest label covers {_percent(iou)} of it (IoU)" if iou > 0 else "no label touches it"
        return f"A {suggested} is predicted at {_percent(score)}; {near}."
    if kind == FindingType.LOW_OVERLAP:
        return f"The predicted {label} ({_percent(score)}) and this shape overlap by {_percent(iou)} (IoU)."
    if kind == FindingType.MISMATCHING_LABEL:
        return f"A {suggested} is predicted here at {_percent(score)}, with more support than {label}."
    if kind == FindingType.EXTRA_ANNOTATION:
        if iou > 0:
            return f"The best {label} predicted here overlaps this shape by only {_percent(iou)} (IoU)."
        return f"No {label} is predicted here, not even above 1 %."
    other = "the same label" if label == suggested else f"a label '{suggested}'"
    return f"This shape and another with {other} overlap by {_percent(iou)} (IoU)."


def _percent(value: float) -> str:
    return f"{100 * value:.0f} %"
