"""What the predictions say about each label, and which predictions no label explains."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from audit.checks.nearby import nearby, own_shared
from audit.checks.outlines import masked, outline_evidence
from audit.checks.overlaps import at, best, drawn_masks, outlined, refined, with_mask_iou
from audit.checks.surroundings import Surroundings, surroundings
from audit.checks.tables import Evidence, LabelEvidence, Outlines, Sample, Twins, Unexplained, combine
from audit.core.annotations import NO_ID, Annotations, Predictions, comparable
from audit.core.boxes import Pairs, area, overlapping_pairs, pairs_within
from audit.core.matching import greedy_matching, suppress
from audit.core.table import BoolArray, FloatArray, IntArray, T
from audit.trust import scoring

MATCH_IOU = 0.2
"""Overlap from which a label and a prediction of one name are one object, at worst badly outlined."""
SAME_OBJECT_IOU = 0.5
"""Two predictions that overlap more are taken for one object; only the better becomes a finding."""
TWIN_IOU = 0.4
"""Two labels that overlap less are two objects."""
SEEN_SCORE, SURE_SCORE = 0.05, 0.3
"""Predictions from here up show that something is there; that it is an object whose outline can be trusted."""
COVERED = 0.7
"""Share of a label within a prediction from which on that is a box around it."""
FLOOR = 0.02
"""Findings below this score are not kept."""
SAMPLE_FRAMES = 300
"""About this many frames, evenly spread, are kept as they are to learn from."""
FAINTEST = 0.08
"""Unexplained predictions with a lower first guess are not looked at: none of them came out likely."""


def gather(  # noqa: PLR0913 - two tables, what is known of them, and two switches of what it costs
    annotations: Annotations,
    predictions: Predictions,
    *,
    judged: BoolArray,
    frame_hw: IntArray,
    first_annotation: int = 0,
    prediction_rows: IntArray | None = None,
    sampling: int = SAMPLE_FRAMES,
    outlines: bool = True,
) -> Evidence:
    """Evidence in one block of frames.

    annotations, predictions: sorted by frame. judged: (annotations,) which the model can speak of: it
    knows the label and has seen the frame. frame_hw: (frames, 2) of the whole snapshot, 0 if unknown
    (then boxes stand for masks). first_annotation: row of the block's first in the whole snapshot.
    prediction_rows: (predictions,) their rows in the run's file, if not simply 0, 1, 2 ...
    outlines: also look how masks differ, which costs about two milliseconds for each label that has one.
    """
    rows = np.arange(len(predictions)) if prediction_rows is None else prediction_rows
    usable = np.flatnonzero(comparable(annotations))
    labels = _only(annotations, usable)
    pairs = overlapping_pairs(labels.xyxy, labels.frame, predictions.xyxy, predictions.frame)
    pairs, masks = with_mask_iou(pairs, labels, predictions, frame_hw)
    same = labels.label[pairs.left] == predictions.label[pairs.right]
    matched = _match(pairs, same, predictions.score, len(labels), len(predictions))
    explained = best(pairs.right[same], pairs.iou[same], len(predictions))[0]
    told = np.flatnonzero(judged[usable] & (area(labels.xyxy) > 0))
    sizes = [np.maximum(area(table.xyxy), 1e-9) for table in (labels, predictions)]
    around = surroundings(labels, predictions)
    evidence = _label_evidence(labels, predictions, sizes, pairs, same, matched, explained)
    evidence = _in_surroundings(evidence, around).replace(
        own_shared=own_shared(evidence.own_prediction, len(predictions), pairs, same)
    )
    beside = nearby(evidence, told, predictions, pairs)
    compared = Outlines()
    if masks is not None:
        evidence = evidence.replace(masked=masked(pairs, matched, masks))
        if outlines:
            compared = outline_evidence(predictions, pairs, same, matched, masks, told, usable + first_annotation)
    evidence = evidence.replace(
        row=usable + first_annotation,
        own_prediction=at(rows, evidence.own_prediction, NO_ID),
        rival_prediction=at(rows, evidence.rival_prediction, NO_ID),
    )
    evidence = _only(evidence, told)
    crowds = annotations[annotations.crowd]
    unexplained = _unexplained(sizes, crowds, predictions, pairs, same, matched, explained)
    unexplained = unexplained.replace(
        row=rows[unexplained.row],
        companions=around.labels(unexplained.frame, unexplained.label),
        smallest=around.smallest(unexplained.frame, unexplained.label),
        best_in_frame=around.predicted(unexplained.frame, unexplained.label),
        nearest=at(usable + first_annotation, unexplained.nearest, NO_ID),
    )
    twins = _twins(labels, usable + first_annotation, frame_hw)
    sample = _sample(annotations, judged, predictions, len(frame_hw), sampling)
    beside = beside.replace(row=usable[beside.row] + first_annotation)
    return Evidence(annotations, frame_hw, evidence, unexplained, twins, sample, compared, beside)


def _only(table: T, rows: IntArray) -> T:
    """These rows, ascending; the table itself if that is all of it."""
    return table if len(rows) == len(table) else table[rows]


def _sample(annotations: Annotations, judged: BoolArray, predictions: Predictions, frames: int, wanted: int) -> Sample:
    if not wanted:
        return Sample(annotations[:0], judged[:0], predictions[:0], 1)
    step = max(1, -(-frames // wanted))
    if step == 1:
        return Sample(annotations, judged, predictions, step)
    ours, theirs = (np.flatnonzero(t.frame % step == 0) for t in (annotations, predictions))
    return Sample(annotations[ours], judged[ours], predictions[theirs], step)


def _label_evidence(
    labels: Annotations,
    predictions: Predictions,
    sizes: Sequence[FloatArray],
    pairs: Pairs,
    same: BoolArray,
    matched: IntArray,
    explained: FloatArray,
) -> LabelEvidence:
    n = len(labels)
    score = predictions.score[pairs.right]
    support = pairs.iou * score
    rivalry = np.where(same, 0.0, support * (1 - explained[pairs.right]))
    rival_support, rival_pair = best(pairs.left, rivalry, n)
    rival = at(pairs.right, rival_pair, NO_ID)
    smaller = np.minimum(sizes[0][pairs.left], sizes[1][pairs.right])
    guest_label, guest_count = _guests(n, predictions, sizes[1], pairs, same)
    own, matched_iou = np.full(n, NO_ID), np.zeros(n)
    own[pairs.left[matched]], matched_iou[pairs.left[matched]] = pairs.right[matched], pairs.iou[matched]
    over, label_iou, twin_iou = _beside(labels, sizes[0])
    return LabelEvidence(
        row=np.arange(n),
        frame=labels.frame,
        label=labels.label,
        xyxy=labels.xyxy,
        own_iou=best(pairs.left[same], pairs.iou[same], n)[0],
        own_support=best(pairs.left[same], support[same], n)[0],
        own_prediction=own,
        own_score=at(predictions.score, own, 0.0),
        own_xyxy=at(predictions.xyxy, own, np.nan),
        matched_iou=matched_iou,
        rival_support=rival_support,
        rival_prediction=rival,
        rival_label=at(predictions.label, rival, NO_ID),
        rival_iou=at(pairs.iou, rival_pair, 0.0),
        rival_score=at(predictions.score, rival, 0.0),
        rival_xyxy=at(predictions.xyxy, rival, np.nan),
        any_support=best(pairs.left, support, n)[0],
        own_best=best(pairs.left, np.where(same & (pairs.iou >= MATCH_IOU), predictions.score[pairs.right], 0.0), n)[0],
        part_support=best(pairs.left[same], (predictions.score[pairs.right] * pairs.shared / smaller)[same], n)[0],
        guest_label=guest_label,
        guest_count=guest_count,
        any_iou=best(pairs.left, pairs.iou, n)[0],
        seen_iou=_overlap_from(SEEN_SCORE, pairs, score, n),
        sure_iou=_overlap_from(SURE_SCORE, pairs, score, n),
        rival_total=_rival_total(pairs, score, predictions.label, at(predictions.label, rival, NO_ID)),
        labelled_over=over,
        label_iou=label_iou,
        twin_iou=twin_iou,
    )


def _in_surroundings(e: LabelEvidence, around: Surroundings) -> LabelEvidence:
    return e.replace(
        companions=np.maximum(around.labels(e.frame, e.label) - 1, 0),
        rival_companions=around.labels(e.frame, e.rival_label),
        frame_labels=around.all_labels(e.frame),
        own_in_frame=around.predicted(e.frame, e.label),
    )


def _overlap_from(least: float, pairs: Pairs, score: FloatArray, n: int) -> FloatArray:
    """(n,) the best overlap of each label with a prediction that has at least this score. score: (pairs,)."""
    highest, kept = np.zeros(n), np.flatnonzero(score >= least)
    np.maximum.at(highest, pairs.left[kept], pairs.iou[kept])
    return highest


def _rival_total(pairs: Pairs, score: FloatArray, name: IntArray, rival: IntArray) -> FloatArray:
    """(labels,) score × IoU² of all predictions of each one's rival name. score: (pairs,). name: (predictions,)."""
    chosen = np.flatnonzero(name[pairs.right] == rival[pairs.left])
    weight = score[chosen] * pairs.iou[chosen] ** 2
    return np.bincount(pairs.left[chosen], weights=weight, minlength=len(rival)).astype(np.float64)


def _beside(labels: Annotations, size: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(n,) the largest share of each that one other label covers, the best overlap with one, with one of its name."""
    pairs = pairs_within(labels.xyxy, labels.frame)
    over, iou, twin = np.zeros((3, len(labels)))
    same = np.where(labels.label[pairs.left] == labels.label[pairs.right], pairs.iou, 0.0)
    for end in (pairs.left, pairs.right):
        np.maximum.at(over, end, pairs.shared / size[end])
        np.maximum.at(iou, end, pairs.iou)
        np.maximum.at(twin, end, same)
    return over, iou, twin


def _guests(
    n: int, predictions: Predictions, size: FloatArray, pairs: Pairs, same: BoolArray
) -> tuple[IntArray, IntArray]:
    """The likeliest other name predicted inside each of n labels, and how many such there are; -1 and 0 for none.

    size: (predictions,) their areas.
    """
    p = pairs[~same & (pairs.shared >= 0.5 * size[pairs.right])]
    likeliest = best(p.left, predictions.score[p.right], n)[1]
    guest = at(predictions.label[p.right], likeliest, NO_ID)
    counted = predictions.label[p.right] == guest[p.left]
    return guest, np.bincount(p.left[counted], minlength=n)


def _match(pairs: Pairs, same: BoolArray, score: FloatArray, n_left: int, n_right: int) -> IntArray:
    """Indices of the pairs of one name that stand for one object, one to one, best score × IoU first."""
    allowed = np.flatnonzero(same & (pairs.iou >= MATCH_IOU))
    p = pairs[allowed]
    order = np.argsort(-p.iou * score[p.right], kind="stable")
    return allowed[greedy_matching(p.left, p.right, order, n_left=n_left, n_right=n_right)]


def _unexplained(
    sizes: Sequence[FloatArray],
    crowds: Annotations,
    predictions: Predictions,
    pairs: Pairs,
    same: BoolArray,
    matched: IntArray,
    iou_same: FloatArray,
) -> Unexplained:
    n, (label_size, size) = len(predictions), sizes
    iou_any, nearest_pair = best(pairs.right, pairs.iou, n)
    iou_other = best(pairs.right[~same], pairs.iou[~same], n)[0]
    inside = pairs.shared / size[pairs.right]
    covered = (pairs.shared / label_size[pairs.left])[same]
    inside_same = best(pairs.right[same], inside[same], n)[0]
    score = scoring.first_guess(predictions.score, iou_same, iou_other, inside_same)
    score *= 1 - _crowded(crowds, predictions, size)
    score[pairs.right[matched]] = 0.0
    rows = np.flatnonzero(score >= FAINTEST)
    kept, clash, echo = _one_per_object(predictions[rows], score[rows])
    rows = rows[kept]
    return Unexplained(
        row=rows,
        frame=predictions.frame[rows],
        label=predictions.label[rows],
        xyxy=predictions.xyxy[rows],
        prediction_score=predictions.score[rows],
        score=score[rows],
        iou=iou_any[rows],
        nearest=at(pairs.left, nearest_pair, NO_ID)[rows],
        iou_same=iou_same[rows],
        iou_other=iou_other[rows],
        inside_same=inside_same[rows],
        inside_other=best(pairs.right[~same], inside[~same], n)[0][rows],
        covers_same=best(pairs.right[same], covered, n)[0][rows],
        covers_count=np.bincount(pairs.right[same][covered > COVERED], minlength=n)[rows],
        clash=clash,
        echo=echo,
    )


def _crowded(crowds: Annotations, predictions: Predictions, size: FloatArray) -> FloatArray:
    """(n,) 1 where most of a prediction lies in a crowd region of its name, else 0."""
    pairs = overlapping_pairs(crowds.xyxy, crowds.frame, predictions.xyxy, predictions.frame)
    pairs = pairs[crowds.label[pairs.left] == predictions.label[pairs.right]]
    share = best(pairs.right, pairs.shared / size[pairs.right], len(predictions))[0]
    return (share >= 0.5).astype(np.float64)


def _one_per_object(predictions: Predictions, score: FloatArray) -> tuple[BoolArray, FloatArray, FloatArray]:
    """Which to keep; of those kept, the best overlap × score with one of another name, and the same of its own."""
    pairs = pairs_within(predictions.xyxy, predictions.frame)
    pairs = pairs[pairs.iou >= SAME_OBJECT_IOU]
    kept = suppress(pairs.left, pairs.right, score)
    same = predictions.label[pairs.left] == predictions.label[pairs.right]
    beside = np.zeros((2, len(score)))
    for one, other in ((pairs.left, pairs.right), (pairs.right, pairs.left)):
        np.maximum.at(beside, (same.astype(np.int64), one), pairs.iou * predictions.score[other])
    return kept, beside[0, kept], beside[1, kept]


def _twins(labels: Annotations, rows: IntArray, frame_hw: IntArray) -> Twins:
    pairs = pairs_within(labels.xyxy, labels.frame)
    pairs = pairs[pairs.iou >= TWIN_IOU]
    both = outlined(labels)
    chosen = np.flatnonzero(both[pairs.left] & both[pairs.right] & (frame_hw[labels.frame[pairs.left]] > 0).all(axis=1))
    drawn = drawn_masks(labels, np.union1d(pairs.left[chosen], pairs.right[chosen]), frame_hw)
    pairs = refined(pairs, chosen, drawn, drawn, frame_hw[labels.frame])
    pairs = pairs[pairs.iou >= TWIN_IOU]
    same = labels.label[pairs.left] == labels.label[pairs.right]
    return Twins(left=rows[pairs.left], right=rows[pairs.right], iou=pairs.iou, same=same)


__all__ = ["Evidence", "LabelEvidence", "Outlines", "Sample", "Twins", "Unexplained", "combine", "gather"]
