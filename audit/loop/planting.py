"""Questions whose answer is known, made from the run itself, by which a careless or credulous reviewer shows.

True ones show a label that a model confirms as if it were missing. Wrong ones propose a label at a place
where neither people nor any model see anything, or another label for a confirmed one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audit.core.annotations import Annotations, Predictions, comparable
from audit.core.boxes import overlapping_pairs
from audit.core.decisions import Verdict
from audit.core.findings import Findings, FindingType
from audit.core.table import FloatArray, IntArray

CONFIRMED_IOU = 0.7
CONFIRMED_SCORE = 0.6
"""A label counts as confirmed if a prediction of the same label overlaps and scores at least this."""

MIN_SIDE_PX = 24
"""Smaller objects are hard to judge for anybody and so make bad checks."""

TRIES = 40
"""Random places tried in a frame before it is given up as too full."""


@dataclass(frozen=True)
class Planted:
    """findings: rows like real ones, without ids. expected: (n,) the right verdict of each."""

    findings: Findings
    expected: tuple[Verdict, ...]


def plant(
    annotations: Annotations,
    predictions: Predictions,
    findings: Findings,
    frame_wh: IntArray,
    *,
    number: int,
    labels: int,
    seed: int,
) -> Planted:
    """At most ``number`` checks, half of them true, in the order drawn from the seed.

    annotations, findings: of the whole run. predictions: all of some frames, from which checks are then
    made. frame_wh: (frames, 2) px. labels: how many the run has. Fewer come back where too little is certain.
    """
    rng = np.random.default_rng(seed)
    sure = rng.permutation(_confirmed(annotations, predictions, findings))
    half = -(-number // 2)
    true, rest = sure[:half], sure[half:]
    relabelled = rest[: (number - half) // 2] if labels > 1 else rest[:0]
    parts = [_as_missing(annotations, true), _relabelled(annotations, relabelled, labels, rng)]
    verdicts = [Verdict.ACCEPT] * len(true) + [Verdict.REJECT] * len(relabelled)
    empty = _at_empty_places(annotations, predictions, frame_wh, sure, number - half - len(relabelled), rng)
    verdicts += [Verdict.REJECT] * len(empty)
    table = _scored(Findings.concat([*parts, empty]), rng)
    order = rng.permutation(len(table))
    return Planted(table[order], tuple(verdicts[i] for i in order.tolist()))


def _confirmed(a: Annotations, p: Predictions, findings: Findings) -> IntArray:
    """Rows of labels that a model sees just so and no finding is about."""
    doubted = np.zeros(len(a), bool)
    doubted[np.isin(a.annotation_id, findings.annotation_id[findings.annotation_id >= 0])] = True
    sides = a.xyxy[:, 2:] - a.xyxy[:, :2]
    usable = comparable(a) & ~doubted & np.isfinite(a.xyxy).all(axis=1) & (sides >= MIN_SIDE_PX).all(axis=1)
    rows = np.flatnonzero(usable & np.isin(a.frame, p.frame))
    rows = rows[np.argsort(a.frame[rows], kind="stable")]
    good = p[p.score >= CONFIRMED_SCORE]
    good = good[np.argsort(good.frame, kind="stable")]
    pairs = overlapping_pairs(a.xyxy[rows], a.frame[rows], good.xyxy, good.frame)
    same = (a.label[rows][pairs.left] == good.label[pairs.right]) & (pairs.iou >= CONFIRMED_IOU)
    return np.unique(rows[pairs.left[same]])


def _as_missing(a: Annotations, rows: IntArray) -> Findings:
    """The label shown as a proposal, the existing shape not shown."""
    return Findings(
        type=np.full(len(rows), FindingType.MISSING_ANNOTATION),
        frame=a.frame[rows],
        score=np.zeros(len(rows)),
        suggested_label=a.label[rows],
        suggested_xyxy=a.xyxy[rows],
    )


def _relabelled(a: Annotations, rows: IntArray, labels: int, rng: np.random.Generator) -> Findings:
    if not len(rows):
        return Findings()
    step = rng.integers(1, labels, len(rows))
    return Findings(
        type=np.full(len(rows), FindingType.MISMATCHING_LABEL),
        frame=a.frame[rows],
        score=np.zeros(len(rows)),
        annotation=rows,
        annotation_id=a.annotation_id[rows],
        label=a.label[rows],
        suggested_label=(a.label[rows] + step) % labels,
        xyxy=a.xyxy[rows],
        suggested_xyxy=a.xyxy[rows],
    )


def _at_empty_places(
    a: Annotations, p: Predictions, frame_wh: IntArray, sure: IntArray, number: int, rng: np.random.Generator
) -> Findings:
    """Boxes of confirmed labels, moved to where nothing is seen, in their own frame."""
    found: list[tuple[int, int, FloatArray]] = []
    for row in sure.tolist():
        if len(found) >= number:
            break
        frame, side = int(a.frame[row]), a.xyxy[row, 2:] - a.xyxy[row, :2]
        taken = np.vstack([a.xyxy[a.frame == frame], p.xyxy[p.frame == frame]])
        place = _empty_place(taken, side, frame_wh[frame], rng)
        if place is not None:
            found.append((frame, int(a.label[row]), place))
    if not found:
        return Findings()
    return Findings(
        type=np.full(len(found), FindingType.MISSING_ANNOTATION),
        frame=np.array([f for f, _, _ in found]),
        score=np.zeros(len(found)),
        suggested_label=np.array([label for _, label, _ in found]),
        suggested_xyxy=np.vstack([box for _, _, box in found]),
    )


def _empty_place(
    taken: FloatArray, side: FloatArray, frame_wh: IntArray, rng: np.random.Generator
) -> FloatArray | None:
    """A box of this size that touches none of those taken; None if none was found."""
    room = frame_wh - side
    if (room <= 0).any():
        return None
    for corner in rng.uniform(0, 1, (TRIES, 2)) * room:
        box = np.concatenate([corner, corner + side])
        apart = (taken[:, 2:] <= box[:2]).any(axis=1) | (taken[:, :2] >= box[2:]).any(axis=1)
        if apart.all():
            return box
    return None


def _scored(findings: Findings, rng: np.random.Generator) -> Findings:
    """With scores that look like any other's."""
    shown = np.round(rng.uniform(0.6, 0.99, len(findings)), 3)
    return findings.replace(score=shown, prediction_score=shown)
