"""One sentence per finding that says why it is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from audit.checks.evidence import Evidence
from audit.checks.invalid import REASONS, faults
from audit.checks.outline_words import misfits, told
from audit.checks.overlaps import at
from audit.core.annotations import ShapeType, Snapshot
from audit.core.findings import Findings, FindingType
from audit.core.table import FloatArray, IntArray, ObjectArray, Table, column


@dataclass(frozen=True, eq=False)
class Witnesses(Table):
    """What speaks for and against each finding on a label, for its sentence; one row per finding.

    own_best: the highest score with which its own name is predicted at its place, 0 for not at all.
    guest_label, guest_count: what else is predicted inside an extra label, and how often.
    misfit: how the mask of a Low IoU finding differs from the predicted one, None for boxes.
    """

    own_best: FloatArray = column(np.float64, 0.0, required=True)
    guest_label: IntArray = column(np.int64, -1)
    guest_count: IntArray = column(np.int64, 0)
    misfit: ObjectArray = column(object)


def witnesses(findings: Findings, evidence: Evidence) -> Witnesses:
    """Of findings made from this evidence."""
    e = evidence.labels
    row = np.full(len(evidence.annotations) + 1, -1)
    row[e.row] = np.arange(len(e))
    of = row[findings.annotation]
    extra = np.where(findings.type == FindingType.EXTRA_ANNOTATION, of, -1)
    low = np.where(findings.type == FindingType.LOW_OVERLAP, findings.annotation, -1)
    return Witnesses(
        at(e.own_best, of, 0.0), at(e.guest_label, extra, -1), at(e.guest_count, extra, 0), misfits(evidence, low)
    )


def with_reasons(findings: Findings, snapshot: Snapshot, frame_hw: IntArray, seen: Witnesses | None = None) -> Findings:
    """The findings with their reasons in words; numbers as whole percents. seen: their witnesses, if known."""
    seen = Witnesses(np.zeros(len(findings))) if seen is None else seen
    fault = _faults(findings, snapshot, frame_hw)
    said, guests = seen.own_best.tolist(), _guests(seen, snapshot.labels)
    shape = _shapes(findings, snapshot)
    names = (*snapshot.labels, "")
    columns = (findings.type, findings.label, findings.suggested_label, findings.iou, findings.prediction_score)
    rows = zip(*(c.tolist() for c in columns), strict=True)
    reasons = [
        REASONS[fault[i]].capitalize() + "."
        if kind == FindingType.INVALID_SHAPE
        else told(seen.misfit[i], names[label], score, iou)
        if seen.misfit[i] is not None
        else _sentence(kind, names[label], names[suggested], iou, score, said[i], shape[i]) + guests.get(i, "")
        for i, (kind, label, suggested, iou, score) in enumerate(rows)
    ]
    return findings.replace(reason=np.array([*reasons, None], dtype=object)[:-1])


def _shapes(findings: Findings, snapshot: Snapshot) -> list[str]:
    """What of each finding's label a predicted box was compared with."""
    types = np.append(snapshot.annotations.shape, ShapeType.RECTANGLE)[findings.annotation]
    return ["this shape" if t == ShapeType.RECTANGLE else "the box around this shape" for t in types.tolist()]


def _faults(findings: Findings, snapshot: Snapshot, frame_hw: IntArray) -> IntArray:
    """(n,) the index in ``REASONS`` of each invalid shape's fault; 0 for findings of other types."""
    invalid = np.flatnonzero(findings.type == FindingType.INVALID_SHAPE)
    found = np.zeros(len(findings), np.int64)
    found[invalid] = faults(snapshot.annotations[findings.annotation[invalid]], frame_hw)[0]
    return found


def _guests(witnesses: Witnesses, labels: Sequence[str]) -> dict[int, str]:
    """By index of the finding: what else is predicted inside an extra label."""
    count, label = witnesses.guest_count.tolist(), witnesses.guest_label.tolist()
    return {
        i: f" Inside it, {_number(count[i])} predicted as {labels[label[i]]}."
        for i in np.flatnonzero(witnesses.guest_count > 0).tolist()
    }


def _number(count: int) -> str:
    return "one object is" if count == 1 else f"{count} objects are"


def _sentence(kind: int, label: str, suggested: str, iou: float, score: float, own: float, shape: str) -> str:
    if kind == FindingType.MISSING_ANNOTATION:
        near = f"the closest label covers {_percent(iou)} of it (IoU)" if iou > 0 else "no label touches it"
        return f"A {suggested} is predicted at {_percent(score)}; {near}."
    if kind == FindingType.LOW_OVERLAP:
        return f"The predicted {label} ({_percent(score)}) and {shape} overlap by {_percent(iou)} (IoU)."
    if kind == FindingType.MISMATCHING_LABEL:
        against = f"{label} at no more than {_percent(own)}" if own else f"no {label}, not even above 1 %"
        return f"A {suggested} is predicted here at {_percent(score)}, {against}."
    if kind == FindingType.EXTRA_ANNOTATION:
        return _unseen(label, iou, own)
    other = "the same label" if label == suggested else f"a label '{suggested}'"
    return f"This shape and another with {other} overlap by {_percent(iou)} (IoU)."


def _unseen(label: str, iou: float, own: float) -> str:
    if own:
        return f"No {label} is predicted here above {_percent(own)}, overlapping by {_percent(iou)} (IoU) at best."
    if iou > 0:
        return f"The best {label} predicted here overlaps this shape by only {_percent(iou)} (IoU)."
    return f"No {label} is predicted here, not even above 1 %."


def _percent(value: float) -> str:
    return f"{100 * value:.0f} %"
