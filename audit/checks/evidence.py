"""What the predictions say about each label, and which predictions no label explains."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from audit.checks.nearby import nearby, own_shared
from audit.checks.outlines import masked, outline_evidence
from audit.checks.overlaps import Masks, at, best, drawn_masks, highest, outlined, refined, with_mask_iou
from audit.checks.surroundings import Surroundings, surroundings
from audit.checks.tables import Evidence, LabelEvidence, Look, Outlines, Sample, Twins, Unexplained, combine
from audit.core.annotations import NO_ID, Annotations, Predictions, comparable
from audit.core.boxes import Pairs, area, overlapping_pairs, pairs_within
from audit.core.edges import LOOKS
from audit.core.matching import highest_matching, suppress
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
    look: Look | None = None,
) -> Evidence:
    """Evidence in one block of frames.

    annotations, predictions: sorted by frame. judged: (annotations,) which the model can speak of: it
    knows the label and has seen the frame. frame_hw: (frames, 2) of the whole snapshot, 0 if unknown
    (then boxes stand for masks). first_annotation: row of the block's first in the whole snapshot.
    prediction_rows: (predictions,) their rows in the run's file, if not simply 0, 1, 2 ...
    outlines: also look how masks differ, which costs about two milliseconds for each label that has one.
    look: looks at the pictures of these frames, if there are any.
    """
    rows = np.arange(len(predictions)) if prediction_rows is None else prediction_rows
    usable = np.flatnonzero(comparable(annotations))
    labels = _only(annotations, usable)
    met, masks = _met(labels, predictions, frame_hw)
    told = np.flatnonzero(judged[usable] & (area(labels.xyxy) > 0))
    around = surroundings(labels, predictions)
    evidence = _in_surroundings(_label_evidence(met), around).replace(
        own_shared=own_shared(met.own, len(predictions), met.of_name)
    )
    beside = nearby(evidence, told, predictions, met.pairs)
    compared = Outlines()
    if masks is not None:
        evidence = evidence.replace(masked=masked(met.pairs, met.matched, masks))
        if outlines:
            compared = outline_evidence(
                predictions, met.pairs, met.same, met.matched, masks, told, usable + first_annotation
            )
    evidence = evidence.replace(
        row=usable + first_annotation,
        own_prediction=at(rows, evidence.own_prediction, NO_ID),
        rival_prediction=at(rows, evidence.rival_prediction, NO_ID),
    )
    evidence = _only(evidence, told)
    unexplained = _unexplained(met, annotations[annotations.crowd])
    unexplained = unexplained.replace(
        row=rows[unexplained.row],
        companions=around.labels(unexplained.frame, unexplained.label),
        smallest=around.smallest(unexplained.frame, unexplained.label),
        best_in_frame=around.predicted(unexplained.frame, unexplained.label),
        nearest=at(usable + first_annotation, unexplained.nearest, NO_ID),
    )
    twins = _twins(met, usable + first_annotation, frame_hw)
    sample = replace(_sample(annotations, judged, predictions, len(frame_hw), sampling), look=look)
    beside = beside.replace(row=usable[beside.row] + first_annotation)
    looks = None if look is None else _looks(annotations, usable[told], look)
    shown = around.scenes()
    return Evidence(annotations, frame_hw, evidence, unexplained, twins, sample, compared, beside, shown, looks)


def _looks(annotations: Annotations, rows: IntArray, look: Look) -> FloatArray:
    looks = np.full((len(annotations), LOOKS), np.nan)
    looks[rows] = look(annotations.frame[rows], annotations.xyxy[rows])
    return looks


@dataclass(frozen=True)
class _Met:
    """Labels and predictions where they meet.

    label_area, area: of each, above 0. pairs: of both. same: (pairs,) whether of one name. of_name: those of one name,
    named: their indices. matched: indices of the pairs that are one object. own, own_iou: (labels,) the prediction
    matched to each, or -1, and their overlap, or 0. explained: (predictions,) the best overlap with a label of its
    name. among: pairs of labels.
    """

    labels: Annotations
    predictions: Predictions
    label_area: FloatArray
    area: FloatArray
    pairs: Pairs
    same: BoolArray
    of_name: Pairs
    named: IntArray
    matched: IntArray
    own: IntArray
    own_iou: FloatArray
    explained: FloatArray
    among: Pairs


def _met(labels: Annotations, predictions: Predictions, frame_hw: IntArray) -> tuple[_Met, Masks | None]:
    n_labels, n = len(labels), len(predictions)
    pairs = overlapping_pairs(labels.xyxy, labels.frame, predictions.xyxy, predictions.frame)
    pairs, masks = with_mask_iou(pairs, labels, predictions, frame_hw)
    same = labels.label.take(pairs.left) == predictions.label.take(pairs.right)
    named = np.flatnonzero(same)
    of_name = pairs[named]
    matched = named.take(_match(of_name, predictions.score, n_labels, n))
    own, own_iou = np.full(n_labels, NO_ID), np.zeros(n_labels)
    left = pairs.left.take(matched)
    own[left], own_iou[left] = pairs.right.take(matched), pairs.iou.take(matched)
    met = _Met(
        labels=labels,
        predictions=predictions,
        label_area=np.maximum(area(labels.xyxy), 1e-9),
        area=np.maximum(area(predictions.xyxy), 1e-9),
        pairs=pairs,
        same=same,
        of_name=of_name,
        named=named,
        matched=matched,
        own=own,
        own_iou=own_iou,
        explained=highest(of_name.right, of_name.iou, n),
        among=pairs_within(labels.xyxy, labels.frame),
    )
    return met, masks


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


def _label_evidence(met: _Met) -> LabelEvidence:
    labels, predictions, pairs, n = met.labels, met.predictions, met.pairs, len(met.labels)
    score = predictions.score.take(pairs.right)
    support = pairs.iou * score
    rivalry = support * (1 - met.explained.take(pairs.right)) * ~met.same
    rival_support, rival_pair = best(pairs.left, rivalry, n)
    rival = at(pairs.right, rival_pair, NO_ID)
    rival_label = at(predictions.label, rival, NO_ID)
    own, own_score = met.of_name, score.take(met.named)
    fitting = np.flatnonzero(own.iou >= MATCH_IOU)
    smaller = np.minimum(met.label_area.take(own.left), met.area.take(own.right))
    guest_label, guest_count, guest_score = _guests(met)
    over, label_iou, twin_iou = _beside(met)
    return LabelEvidence(
        row=np.arange(n),
        frame=labels.frame,
        label=labels.label,
        xyxy=labels.xyxy,
        own_iou=highest(own.left, own.iou, n),
        own_support=highest(own.left, support.take(met.named), n),
        own_prediction=met.own,
        own_score=at(predictions.score, met.own, 0.0),
        own_xyxy=at(predictions.xyxy, met.own, np.nan),
        matched_iou=met.own_iou,
        rival_support=rival_support,
        rival_prediction=rival,
        rival_label=rival_label,
        rival_iou=at(pairs.iou, rival_pair, 0.0),
        rival_score=at(predictions.score, rival, 0.0),
        rival_xyxy=at(predictions.xyxy, rival, np.nan),
        any_support=highest(pairs.left, support, n),
        own_best=highest(own.left.take(fitting), own_score.take(fitting), n),
        part_support=highest(own.left, own_score * own.shared / smaller, n),
        guest_label=guest_label,
        guest_count=guest_count,
        guest_score=guest_score,
        any_iou=highest(pairs.left, pairs.iou, n),
        seen_iou=_overlap_from(SEEN_SCORE, pairs, score, n),
        sure_iou=_overlap_from(SURE_SCORE, pairs, score, n),
        rival_total=_rival_total(pairs, score, predictions.label, rival_label),
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
    kept = np.flatnonzero(score >= least)
    return highest(pairs.left.take(kept), pairs.iou.take(kept), n)


def _rival_total(pairs: Pairs, score: FloatArray, name: IntArray, rival: IntArray) -> FloatArray:
    """(labels,) score × IoU² of all predictions of each one's rival name. score: (pairs,). name: (predictions,)."""
    chosen = np.flatnonzero(name.take(pairs.right) == rival.take(pairs.left))
    weight = score.take(chosen) * pairs.iou.take(chosen) ** 2
    return np.bincount(pairs.left.take(chosen), weights=weight, minlength=len(rival)).astype(np.float64)


def _beside(met: _Met) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(n,) the largest share of each that one other label covers, the best overlap with one, with one of its name."""
    pairs, name = met.among, met.labels.label
    over, iou, twin = np.zeros((3, len(name)))
    same = pairs.iou * (name.take(pairs.left) == name.take(pairs.right))
    for end in (pairs.left, pairs.right):
        np.maximum.at(over, end, pairs.shared / met.label_area.take(end))
        np.maximum.at(iou, end, pairs.iou)
        np.maximum.at(twin, end, same)
    return over, iou, twin


def _guests(met: _Met) -> tuple[IntArray, IntArray, FloatArray]:
    """The likeliest other name predicted inside each label, how many such there are, the best score; -1, 0, 0 for none.

    Fainter ones than half of the best are mostly the same objects once more.
    """
    n, p, name = len(met.labels), met.pairs, met.predictions.label
    inside = np.flatnonzero(p.shared >= 0.5 * met.area.take(p.right))
    inside = inside.take(np.flatnonzero(~met.same.take(inside)))
    left, right = p.left.take(inside), p.right.take(inside)
    score = met.predictions.score.take(right)
    surest, where = best(left, score, n)
    guest = at(name.take(right), where, NO_ID)
    counted = np.flatnonzero((name.take(right) == guest.take(left)) & (2 * score >= surest.take(left)))
    return guest, np.bincount(left.take(counted), minlength=n), surest


def _match(of_name: Pairs, score: FloatArray, n_left: int, n_right: int) -> IntArray:
    """Indices of the pairs of one name that stand for one object, one to one, best score × IoU first."""
    allowed = np.flatnonzero(of_name.iou >= MATCH_IOU)
    p = of_name[allowed]
    return allowed.take(highest_matching(p.left, p.right, p.iou * score.take(p.right), n_left=n_left, n_right=n_right))


def _unexplained(met: _Met, crowds: Annotations) -> Unexplained:
    predictions, n = met.predictions, len(met.predictions)
    iou_other = highest(met.pairs.right, met.pairs.iou * ~met.same, n)
    inside_same = highest(met.of_name.right, met.of_name.shared / met.area.take(met.of_name.right), n)
    score = scoring.first_guess(predictions.score, met.explained, iou_other, inside_same)
    if len(crowds):
        score *= 1 - _crowded(crowds, predictions, met.area)
    score[met.own[met.own >= 0]] = 0.0
    rows = np.flatnonzero(score >= FAINTEST)
    chosen = predictions[rows]
    kept, clash, echo = _one_per_object(chosen, score.take(rows))
    chosen, rows = chosen[kept], rows.take(np.flatnonzero(kept))
    return Unexplained(
        row=rows,
        frame=chosen.frame,
        label=chosen.label,
        xyxy=chosen.xyxy,
        prediction_score=chosen.score,
        score=score.take(rows),
        iou_same=met.explained.take(rows),
        iou_other=iou_other.take(rows),
        inside_same=inside_same.take(rows),
        clash=clash,
        echo=echo,
        **_by_labels(met, rows),
    )


def _by_labels(met: _Met, rows: IntArray) -> dict[str, np.ndarray]:
    """Columns of ``Unexplained`` that tell how these predictions lie to the labels they overlap."""
    n = len(rows)
    place = np.full(len(met.predictions), NO_ID)
    place[rows] = np.arange(n)
    chosen = np.flatnonzero(place.take(met.pairs.right) >= 0)
    pairs, same = met.pairs[chosen], met.same.take(chosen)
    right, inside = place.take(pairs.right), pairs.shared / met.area.take(pairs.right)
    iou, nearest = best(right, pairs.iou, n)
    own = np.flatnonzero(same)
    covered = pairs.shared.take(own) / met.label_area.take(pairs.left.take(own))
    return {
        "iou": iou,
        "nearest": at(pairs.left, nearest, NO_ID),
        "inside_other": highest(right, inside * ~same, n),
        "covers_same": highest(right.take(own), covered, n),
        "covers_count": np.bincount(right.take(own.take(np.flatnonzero(covered > COVERED))), minlength=n),
    }


def _crowded(crowds: Annotations, predictions: Predictions, size: FloatArray) -> FloatArray:
    """(n,) 1 where most of a prediction lies in a crowd region of its name, else 0."""
    pairs = overlapping_pairs(crowds.xyxy, crowds.frame, predictions.xyxy, predictions.frame)
    pairs = pairs[crowds.label[pairs.left] == predictions.label[pairs.right]]
    share = highest(pairs.right, pairs.shared / size[pairs.right], len(predictions))
    return (share >= 0.5).astype(np.float64)


def _one_per_object(predictions: Predictions, score: FloatArray) -> tuple[BoolArray, FloatArray, FloatArray]:
    """Which to keep; of those kept, the best overlap × score with one of another name, and the same of its own."""
    pairs = pairs_within(predictions.xyxy, predictions.frame, least=SAME_OBJECT_IOU)
    kept = suppress(pairs.left, pairs.right, score)
    same = predictions.label.take(pairs.left) == predictions.label.take(pairs.right)
    beside = np.zeros((2, len(score)))
    for name, chosen in zip(beside, (~same, same), strict=True):
        for one, other in ((pairs.left, pairs.right), (pairs.right, pairs.left)):
            np.maximum.at(name, one, pairs.iou * predictions.score.take(other) * chosen)
    return kept, beside[0, kept], beside[1, kept]


def _twins(met: _Met, rows: IntArray, frame_hw: IntArray) -> Twins:
    labels, pairs = met.labels, met.among[met.among.iou >= TWIN_IOU]
    both = outlined(labels)
    chosen = np.flatnonzero(both[pairs.left] & both[pairs.right] & (frame_hw[labels.frame[pairs.left]] > 0).all(axis=1))
    drawn = drawn_masks(labels, np.union1d(pairs.left[chosen], pairs.right[chosen]), frame_hw)
    pairs = refined(pairs, chosen, drawn, drawn, frame_hw[labels.frame])
    pairs = pairs[pairs.iou >= TWIN_IOU]
    same = labels.label[pairs.left] == labels.label[pairs.right]
    return Twins(left=rows[pairs.left], right=rows[pairs.right], iou=pairs.iou, same=same)


__all__ = ["Evidence", "LabelEvidence", "Outlines", "Sample", "Twins", "Unexplained", "combine", "gather"]
