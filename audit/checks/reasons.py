"""One sentence per finding that says why it is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from audit.checks.evidence import MATCH_IOU, Evidence
from audit.checks.invalid import REASONS, faults
from audit.checks.outline_words import misfits, told
from audit.checks.overlaps import at
from audit.core.annotations import ShapeType, Snapshot
from audit.core.edges import share_of_edges
from audit.core.findings import Findings, FindingType
from audit.core.questions import article
from audit.core.table import BoolArray, FloatArray, IntArray, ObjectArray, Table, column

LOWEST = 0.01
"""Where a model's predictions begin (``audit.ports.Predictor``); results files may begin higher."""
UNSCORED = 0.9
"""No model's predictions begin this high: they have no scores, as those of many functions in CVAT."""
WORTH_TELLING = 0.05
"""A side off by less, as a share of the predicted width or height, is not worth a word."""
EVEN = 0.5
"""Edges less strong than this share of those of the whole picture speak for a label that is on nothing."""
SIDE_NAMES = ("left side", "top", "right side", "bottom")
INWARD = np.array([1.0, 1.0, -1.0, -1.0])
"""Signs by which each side of a box moves towards its middle."""
WAYS = (("far left", "far right"), ("high", "low"))
"""Where a side lies that lies too far, along x and along y: by too small a coordinate, by too large a one."""


@dataclass(frozen=True, eq=False)
class Witnesses(Table):
    """What speaks for and against each finding on a label, for its sentence; one row per finding.

    own_best: the highest score with which its own name is predicted at its place, 0 for not at all. own_left: what
    of that no other label takes, 0 for nothing. own_iou: the best overlap with a prediction of its own name.
    guest_label, guest_count, guest_score: what else is predicted inside an extra label, how often, how surely.
    misfit: how the mask of a Low IoU finding differs from the predicted one, None for boxes.
    edges: how strong the picture's edges are around an extra label, against the whole picture; NaN: nobody looked.
    """

    own_best: FloatArray = column(np.float64, 0.0, required=True)
    own_left: FloatArray = column(np.float64, 0.0)
    own_iou: FloatArray = column(np.float64, 0.0)
    guest_label: IntArray = column(np.int64, -1)
    guest_count: IntArray = column(np.int64, 0)
    guest_score: FloatArray = column(np.float64, 0.0)
    misfit: ObjectArray = column(object)
    edges: FloatArray = column(np.float64, np.nan)


def witnesses(findings: Findings, evidence: Evidence) -> Witnesses:
    """Of findings made from this evidence."""
    e = evidence.labels
    row = np.full(len(evidence.annotations) + 1, -1)
    row[e.row] = np.arange(len(e))
    of = row[findings.annotation]
    extra = np.where(findings.type == FindingType.EXTRA_ANNOTATION, of, -1)
    low = np.where(findings.type == FindingType.LOW_OVERLAP, findings.annotation, -1)
    # a better product of score and overlap than its own one can only be that of another label's prediction
    taken = e.own_best * MATCH_IOU > e.own_score * e.own_iou
    return Witnesses(
        own_best=at(e.own_best, of, 0.0),
        own_left=at(np.where(taken, e.own_score, e.own_best), of, 0.0),
        own_iou=at(e.own_iou, of, 0.0),
        guest_label=at(e.guest_label, extra, -1),
        guest_count=at(e.guest_count, extra, 0),
        guest_score=at(e.guest_score, extra, 0.0),
        misfit=misfits(evidence, low),
        edges=_edges(evidence, at(e.row, extra, -1)),
    )


def _edges(evidence: Evidence, annotation: IntArray) -> FloatArray:
    """(n,) around these annotations, NaN for -1."""
    if evidence.looks is None:
        return np.full(len(annotation), np.nan)
    return np.append(share_of_edges(evidence.looks), np.nan)[annotation]


def with_reasons(
    findings: Findings,
    snapshot: Snapshot,
    frame_hw: IntArray,
    seen: Witnesses | None = None,
    *,
    lowest: float = LOWEST,
) -> Findings:
    """The findings with their reasons in words; numbers as whole percents.

    seen: their witnesses, if known. lowest: the score at which predictions begin; what is fainter is not known.
    """
    if seen is None:
        seen = Witnesses(np.zeros(len(findings)), own_iou=np.nan_to_num(findings.iou))
    fault, guests = _faults(findings, snapshot, frame_hw), _guests(seen, snapshot.labels)
    even = _even(seen)
    wording = _Wording(findings, snapshot, seen, lowest)
    reasons = [
        REASONS[fault[i]].capitalize() + "."
        if kind == FindingType.INVALID_SHAPE
        else wording.sentence(i) + guests.get(i, "") + even.get(i, "")
        for i, kind in enumerate(findings.type.tolist())
    ]
    return findings.replace(reason=np.array([*reasons, None], dtype=object)[:-1])


def _faults(findings: Findings, snapshot: Snapshot, frame_hw: IntArray) -> IntArray:
    """(n,) the index in ``REASONS`` of each invalid shape's fault; 0 for findings of other types."""
    invalid = np.flatnonzero(findings.type == FindingType.INVALID_SHAPE)
    found = np.zeros(len(findings), np.int64)
    found[invalid] = faults(snapshot.annotations[findings.annotation[invalid]], frame_hw)[0]
    return found


def _guests(witnesses: Witnesses, labels: Sequence[str]) -> dict[int, str]:
    """By index of the finding: what else is predicted inside an extra label."""
    w = witnesses
    label, count, score = w.guest_label.tolist(), w.guest_count.tolist(), w.guest_score.tolist()
    return {
        i: f" Inside it, {_number(count[i])} predicted as {labels[label[i]]}, at {_up_to(count[i], score[i])}."
        for i in np.flatnonzero(w.guest_count > 0).tolist()
    }


def _even(witnesses: Witnesses) -> dict[int, str]:
    """By index of the finding: that an extra label lies where there is little to see."""
    edges = witnesses.edges.tolist()
    return {
        i: f" The picture is rather even there: its edges have {_percent(edges[i])} of their usual strength."
        for i in np.flatnonzero(witnesses.edges < EVEN).tolist()
    }


def _number(count: int) -> str:
    return "one object is" if count == 1 else f"{count} objects are"


def _up_to(count: int, score: float) -> str:
    return _percent(score) if count == 1 else f"up to {_percent(score)}"


class _Wording:
    """Words for findings of the types that compare; i: the index of one among them."""

    def __init__(self, findings: Findings, snapshot: Snapshot, seen: Witnesses, lowest: float) -> None:
        names, f = (*snapshot.labels, ""), findings
        related = np.append(snapshot.annotations.label, -1)[f.related]
        self._label, self._suggested, self._related = (
            [names[code] for code in codes.tolist()] for codes in (f.label, f.suggested_label, related)
        )
        self._shape = np.append(snapshot.annotations.shape, ShapeType.RECTANGLE)[f.annotation].tolist()
        self._kind, self._iou, self._score = f.type.tolist(), f.iou.tolist(), f.prediction_score.tolist()
        self._best, self._left, self._own_iou = seen.own_best.tolist(), seen.own_left.tolist(), seen.own_iou.tolist()
        self._misfit, self._lowest = seen.misfit, lowest
        self._off = sides_off(f.xyxy, f.suggested_xyxy, f.type == FindingType.LOW_OVERLAP)
        self._by_kind = {
            FindingType.MISSING_ANNOTATION: self._missing,
            FindingType.LOW_OVERLAP: self._low,
            FindingType.MISMATCHING_LABEL: self._mismatching,
            FindingType.EXTRA_ANNOTATION: self._extra,
            FindingType.DUPLICATE_ANNOTATION: self._duplicate,
        }

    def sentence(self, i: int) -> str:
        return self._by_kind[self._kind[i]](i)

    def _missing(self, i: int) -> str:
        near = "no label touches it"
        if self._iou[i] > 0:
            near = f"the closest label, {_a(self._related[i])}, overlaps it by {_percent(self._iou[i])} (IoU)"
        return f"{_capital(_a(self._suggested[i]))} is predicted here at {_percent(self._score[i])}; {near}."

    def _low(self, i: int) -> str:
        label, score, iou = self._label[i], self._score[i], self._iou[i]
        if self._misfit[i] is not None:
            return told(self._misfit[i], label, score, iou)
        shape = "this shape" if self._shape[i] == ShapeType.RECTANGLE else "the box around this shape"
        off = self._off.get(i, "")
        return f"The predicted {label} ({_percent(score)}) and {shape} overlap by {_percent(iou)} (IoU){off}."

    def _mismatching(self, i: int) -> str:
        label, against = self._label[i], self._unseen(i)
        if self._left[i]:
            against = f"{label} at no more than {_percent(self._left[i])}"
        elif self._best[i]:
            against = f"the {label} predicted here at {_percent(self._best[i])} fits another label better"
        seen, iou = f"predicted here at {_percent(self._score[i])}", self._iou[i]
        if iou < MATCH_IOU:
            seen = f"predicted at {_percent(self._score[i])}, overlapping this shape by {_percent(iou)} (IoU)"
        return f"{_capital(_a(self._suggested[i]))} is {seen}; {against}."

    def _extra(self, i: int) -> str:
        label, best, left = self._label[i], self._best[i], self._left[i]
        if best > left:
            rest = f"; for this one, {_percent(left)} is left" if left else ""
            return f"The {label} predicted here at {_percent(best)} fits another label better{rest}."
        if best:
            overlap = f"overlapping by {_percent(self._own_iou[i])} (IoU) at best"
            return f"No {label} is predicted here above {_percent(best)}, {overlap}."
        return f"{_capital(self._unseen(i))}."

    def _unseen(self, i: int) -> str:
        """That its own name is not predicted at its place, as far as predictions go."""
        label, iou = self._label[i], self._own_iou[i]
        if iou > 0:
            return f"the {label} predicted closest overlaps this shape by only {_percent(iou)} (IoU)"
        if self._lowest < 2 * LOWEST:
            return f"no {label} is predicted here, not even at {_percent(LOWEST)}"
        if self._lowest > UNSCORED:
            return f"no {label} is predicted here"
        return f"no {label} is predicted here (predictions begin at {_percent(self._lowest)})"

    def _duplicate(self, i: int) -> str:
        same = self._label[i] == self._suggested[i]
        other = "another with the same label" if same else f"another, labelled {self._suggested[i]},"
        return f"This shape and {other} overlap by {_percent(self._iou[i])} (IoU)."


def sides_off(label: FloatArray, predicted: FloatArray, asked: BoolArray) -> dict[int, str]:
    """Where boxes end elsewhere than others, by index: their two worst sides at most, none that is off by a trifle.

    label, predicted: (n, 4) xyxy, pixels. asked: (n,).
    """
    rows = np.flatnonzero(asked)
    off = label[rows] - predicted[rows]
    share = np.abs(off) / np.maximum(np.tile(predicted[rows, 2:] - predicted[rows, :2], 2), 1e-9)
    least = np.maximum(share.max(axis=1, initial=0) / 2, WORTH_TELLING)
    inward = off * INWARD
    even = (share >= least[:, None]).all(axis=1) & (np.abs(inward.sum(axis=1)) == np.abs(off).sum(axis=1))
    worst = np.argsort(-share, axis=1, kind="stable")[:, :2]
    enough = np.take_along_axis(share, worst, axis=1) >= least[:, None]
    columns = (rows, off, inward.mean(axis=1), even, worst, enough)
    return {
        i: f": {_all_round(mean) if alike else ' and '.join(_side(k, by[k]) for k, is_off in two if is_off)}"
        for i, by, mean, alike, at, off_there in zip(*(c.tolist() for c in columns), strict=True)
        if any(off_there) and (two := list(zip(at, off_there, strict=True)))
    }


def _all_round(inward: float) -> str:
    return f"it is about {max(round(abs(inward)), 1):,} px too {'small' if inward > 0 else 'large'} on every side"


def _side(k: int, by: float) -> str:
    """by: pixels from where the side should be, along its axis."""
    return f"its {SIDE_NAMES[k]} lies {max(round(abs(by)), 1):,} px too {WAYS[k % 2][by > 0]}"


def _a(name: str) -> str:
    return f"{article(name)} {name}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _percent(value: float) -> str:
    return "less than 1 %" if 0 < value < 0.005 else f"{100 * value:.0f} %"
