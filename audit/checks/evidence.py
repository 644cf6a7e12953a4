"""What the predictions say about each label, and which predictions no label explains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from audit.core.annotations import NO_ID, Annotations, Predictions, comparable
from audit.core.boxes import Pairs, area, overlapping_pairs, pairs_within
from audit.core.masks import pair_iou, rle_of_rings
from audit.core.matching import greedy_matching, suppress
from audit.core.table import BoolArray, FloatArray, IntArray, ObjectArray, Table, column
from audit.trust import scoring

MATCH_IOU = 0.2
"""Overlap from which a label and a prediction of one name are one object, at worst badly outlined."""
SAME_OBJECT_IOU = 0.5
"""Two predictions that overlap more are taken for one object; only the better becomes a finding."""
TWIN_IOU = 0.4
"""Two labels that overlap less are two objects."""
FLOOR = 0.02
"""Findings below this score are not kept."""


@dataclass(frozen=True, eq=False)
class LabelEvidence(Table):
    """One row per annotation that a model can judge. Rows point into the snapshot and the run's predictions.

    own_*: the prediction of the same name matched to it one to one; ``own_support`` is the best
    score × IoU of that name, ``own_iou`` the best overlap with any prediction of that name.
    rival_*: the best prediction of another name that no label of that name explains.
    any_support: the best score × IoU of any name. All supports and IoUs in [0, 1], 0 where there is none.
    """

    row: IntArray = column(np.int64, NO_ID, required=True)
    frame: IntArray = column(np.int64, NO_ID, required=True)
    label: IntArray = column(np.int64, NO_ID, required=True)
    xyxy: FloatArray = column(np.float64, np.nan, width=4, required=True)
    own_iou: FloatArray = column(np.float64, 0.0)
    own_support: FloatArray = column(np.float64, 0.0)
    own_prediction: IntArray = column(np.int64, NO_ID)
    own_score: FloatArray = column(np.float64, 0.0)
    own_xyxy: FloatArray = column(np.float64, np.nan, width=4)
    rival_support: FloatArray = column(np.float64, 0.0)
    rival_prediction: IntArray = column(np.int64, NO_ID)
    rival_label: IntArray = column(np.int64, NO_ID)
    rival_iou: FloatArray = column(np.float64, 0.0)
    rival_score: FloatArray = column(np.float64, 0.0)
    rival_xyxy: FloatArray = column(np.float64, np.nan, width=4)
    any_support: FloatArray = column(np.float64, 0.0)


@dataclass(frozen=True, eq=False)
class Unexplained(Table):
    """Predictions that no label explains, one per object. nearest: the annotation that overlaps it most, or -1."""

    row: IntArray = column(np.int64, NO_ID, required=True)
    frame: IntArray = column(np.int64, NO_ID, required=True)
    label: IntArray = column(np.int64, NO_ID, required=True)
    xyxy: FloatArray = column(np.float64, np.nan, width=4, required=True)
    prediction_score: FloatArray = column(np.float64, np.nan, required=True)
    score: FloatArray = column(np.float64, np.nan, required=True)
    iou: FloatArray = column(np.float64, 0.0)
    nearest: IntArray = column(np.int64, NO_ID)


@dataclass(frozen=True, eq=False)
class Twins(Table):
    """Two annotations on one spot. left, right: their rows. same: whether they carry one name."""

    left: IntArray = column(np.int64, NO_ID, required=True)
    right: IntArray = column(np.int64, NO_ID, required=True)
    iou: FloatArray = column(np.float64, np.nan, required=True)
    same: BoolArray = column(np.bool_, True)


@dataclass(frozen=True)
class Evidence:
    """All that the checks look at; blocks of frames are gathered apart and put together by ``combine``.

    frame_hw: (frames, 2) height and width of every frame of the snapshot, 0 if unknown.
    """

    annotations: Annotations
    frame_hw: IntArray
    labels: LabelEvidence
    unexplained: Unexplained
    twins: Twins


def combine(parts: Sequence[Evidence]) -> Evidence:
    """The evidence of one or more consecutive blocks of frames as one."""
    return Evidence(
        Annotations.concat(p.annotations for p in parts),
        parts[0].frame_hw,
        LabelEvidence.concat(p.labels for p in parts),
        Unexplained.concat(p.unexplained for p in parts),
        Twins.concat(p.twins for p in parts),
    )


def gather(
    annotations: Annotations,
    predictions: Predictions,
    *,
    judged: BoolArray,
    frame_hw: IntArray,
    first_annotation: int = 0,
    prediction_rows: IntArray | None = None,
) -> Evidence:
    """Evidence in one block of frames.

    annotations, predictions: sorted by frame. judged: (annotations,) which the model can speak of: it
    knows the label and has seen the frame. frame_hw: (frames, 2) of the whole snapshot, 0 if unknown
    (then boxes stand for masks). first_annotation: row of the block's first in the whole snapshot.
    prediction_rows: (predictions,) their rows in the run's file, if not simply 0, 1, 2 ...
    """
    rows = np.arange(len(predictions)) if prediction_rows is None else prediction_rows
    usable = np.flatnonzero(comparable(annotations))
    labels = annotations[usable]
    pairs = overlapping_pairs(labels.xyxy, labels.frame, predictions.xyxy, predictions.frame)
    pairs = _with_mask_iou(pairs, labels, predictions, frame_hw)
    same = labels.label[pairs.left] == predictions.label[pairs.right]
    matched = _match(pairs, same, predictions.score, len(labels), len(predictions))
    explained = _best(pairs.right[same], pairs.iou[same], len(predictions))[0]
    told = np.flatnonzero(judged[usable] & (area(labels.xyxy) > 0))
    evidence = _label_evidence(labels, predictions, pairs, same, matched, explained)
    evidence = evidence.replace(
        row=usable + first_annotation,
        own_prediction=_at(rows, evidence.own_prediction, NO_ID),
        rival_prediction=_at(rows, evidence.rival_prediction, NO_ID),
    )[told]
    crowds = annotations[annotations.crowd]
    unexplained = _unexplained(crowds, predictions, pairs, same, matched, explained)
    unexplained = unexplained.replace(
        row=rows[unexplained.row],
        nearest=_at(usable + first_annotation, unexplained.nearest, NO_ID),
    )
    return Evidence(annotations, frame_hw, evidence, unexplained, _twins(labels, usable + first_annotation, frame_hw))


def _label_evidence(
    labels: Annotations,
    predictions: Predictions,
    pairs: Pairs,
    same: BoolArray,
    matched: IntArray,
    explained: FloatArray,
) -> LabelEvidence:
    n = len(labels)
    support = pairs.iou * predictions.score[pairs.right]
    rivalry = np.where(same, 0.0, support * (1 - explained[pairs.right]))
    rival_support, rival_pair = _best(pairs.left, rivalry, n)
    rival = _at(pairs.right, rival_pair, NO_ID)
    own = np.full(n, NO_ID)
    own[pairs.left[matched]] = pairs.right[matched]
    return LabelEvidence(
        row=np.arange(n),
        frame=labels.frame,
        label=labels.label,
        xyxy=labels.xyxy,
        own_iou=_best(pairs.left[same], pairs.iou[same], n)[0],
        own_support=_best(pairs.left[same], support[same], n)[0],
        own_prediction=own,
        own_score=_at(predictions.score, own, 0.0),
        own_xyxy=_at(predictions.xyxy, own, np.nan),
        rival_support=rival_support,
        rival_prediction=rival,
        rival_label=_at(predictions.label, rival, NO_ID),
        rival_iou=_at(pairs.iou, rival_pair, 0.0),
        rival_score=_at(predictions.score, rival, 0.0),
        rival_xyxy=_at(predictions.xyxy, rival, np.nan),
        any_support=_best(pairs.left, support, n)[0],
    )


def _match(pairs: Pairs, same: BoolArray, score: FloatArray, n_left: int, n_right: int) -> IntArray:
    """Indices of the pairs of one name that stand for one object, one to one, best score × IoU first."""
    allowed = np.flatnonzero(same & (pairs.iou >= MATCH_IOU))
    p = pairs[allowed]
    order = np.argsort(-p.iou * score[p.right], kind="stable")
    return allowed[greedy_matching(p.left, p.right, order, n_left=n_left, n_right=n_right)]


def _unexplained(
    crowds: Annotations,
    predictions: Predictions,
    pairs: Pairs,
    same: BoolArray,
    matched: IntArray,
    iou_same: FloatArray,
) -> Unexplained:
    n = len(predictions)
    size = np.maximum(area(predictions.xyxy), 1e-9)
    iou_any, nearest_pair = _best(pairs.right, pairs.iou, n)
    iou_other = _best(pairs.right[~same], pairs.iou[~same], n)[0]
    inside_same = _best(pairs.right[same], pairs.shared[same] / size[pairs.right[same]], n)[0]
    score = scoring.missing(predictions.score, iou_same, iou_other, inside_same, _crowded(crowds, predictions, size))
    score[pairs.right[matched]] = 0.0
    rows = np.flatnonzero(score >= FLOOR)
    rows = rows[_one_per_object(predictions[rows], score[rows])]
    return Unexplained(
        row=rows,
        frame=predictions.frame[rows],
        label=predictions.label[rows],
        xyxy=predictions.xyxy[rows],
        prediction_score=predictions.score[rows],
        score=score[rows],
        iou=iou_any[rows],
        nearest=_at(pairs.left, nearest_pair, NO_ID)[rows],
    )


def _crowded(crowds: Annotations, predictions: Predictions, size: FloatArray) -> FloatArray:
    """(n,) 1 where most of a prediction lies in a crowd region of its name, else 0."""
    pairs = overlapping_pairs(crowds.xyxy, crowds.frame, predictions.xyxy, predictions.frame)
    pairs = pairs[crowds.label[pairs.left] == predictions.label[pairs.right]]
    share = _best(pairs.right, pairs.shared / size[pairs.right], len(predictions))[0]
    return (share >= 0.5).astype(np.float64)


def _one_per_object(predictions: Predictions, score: FloatArray) -> BoolArray:
    rank = np.empty(len(score), np.int64)
    rank[np.argsort(-score, kind="stable")] = np.arange(len(score))
    pairs = pairs_within(predictions.xyxy, predictions.frame)
    pairs = pairs[pairs.iou >= SAME_OBJECT_IOU]
    return suppress(pairs.left, pairs.right, rank)


def _twins(labels: Annotations, rows: IntArray, frame_hw: IntArray) -> Twins:
    pairs = pairs_within(labels.xyxy, labels.frame)
    pairs = pairs[pairs.iou >= TWIN_IOU]
    both = _outlined(labels)
    chosen = np.flatnonzero(both[pairs.left] & both[pairs.right] & (frame_hw[labels.frame[pairs.left]] > 0).all(axis=1))
    drawn = _drawn(labels, np.union1d(pairs.left[chosen], pairs.right[chosen]), frame_hw)
    pairs = _refined(pairs, chosen, drawn, drawn, frame_hw[labels.frame])
    pairs = pairs[pairs.iou >= TWIN_IOU]
    same = labels.label[pairs.left] == labels.label[pairs.right]
    return Twins(left=rows[pairs.left], right=rows[pairs.right], iou=pairs.iou, same=same)


def _outlined(labels: Annotations) -> BoolArray:
    """(n,) rows that have a mask or an outline, not only a box."""
    return np.array([m is not None or p is not None for m, p in zip(labels.mask, labels.points, strict=True)], bool)


def _with_mask_iou(pairs: Pairs, labels: Annotations, predictions: Predictions, frame_hw: IntArray) -> Pairs:
    """Where the label has an outline and the prediction a mask, their masks' IoU replaces that of the boxes."""
    has_mask = np.array([m is not None for m in predictions.mask], bool)
    if not has_mask.any():
        return pairs
    chosen = np.flatnonzero(
        has_mask[pairs.right] & _outlined(labels)[pairs.left] & (frame_hw[labels.frame[pairs.left]] > 0).all(axis=1)
    )
    drawn = _drawn(labels, np.unique(pairs.left[chosen]), frame_hw)
    return _refined(pairs, chosen, drawn, predictions.mask, frame_hw[labels.frame])


def _drawn(labels: Annotations, rows: IntArray, frame_hw: IntArray) -> ObjectArray:
    """(n,) masks (RLE counts) of these rows; others stay None."""
    drawn = np.empty(len(labels), object)
    for i in rows:
        h, w = frame_hw[labels.frame[i]].tolist()
        drawn[i] = labels.mask[i] if labels.mask[i] is not None else rle_of_rings(labels.points[i], (h, w))
    return drawn


def _refined(pairs: Pairs, chosen: IntArray, left: ObjectArray, right: ObjectArray, left_hw: IntArray) -> Pairs:
    iou = pairs.iou.copy()
    iou[chosen] = pair_iou(left[pairs.left[chosen]], right[pairs.right[chosen]], left_hw[pairs.left[chosen]])
    return pairs.replace(iou=iou)


def _best(group: IntArray, values: FloatArray, n: int) -> tuple[FloatArray, IntArray]:
    """Per group the highest positive value and the index where it stands; 0 and -1 for none."""
    best = np.zeros(n)
    np.maximum.at(best, group, values)
    where = np.full(n, NO_ID)
    at = np.flatnonzero((values == best[group]) & (values > 0))[::-1]
    where[group[at]] = at
    return best, where


def _at(values: np.ndarray, index: IntArray, none: float) -> np.ndarray:
    """values[index], with ``none`` where the index is -1."""
    out = np.full((len(index), *values.shape[1:]), none, values.dtype)
    out[index >= 0] = values[index[index >= 0]]
    return out
