"""Tables of evidence: what predictions say about each label, what no label explains, labels on one spot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from audit.core.annotations import NO_ID, Annotations, Predictions
from audit.core.table import BoolArray, FloatArray, IntArray, Table, column

Look = Callable[[IntArray, FloatArray], FloatArray]
"""Looks at pictures: of boxes (n, 4) in frames (n,), (n, 3) as ``audit.core.edges.looks``; NaN without a picture."""


@dataclass(frozen=True, eq=False)
class LabelEvidence(Table):
    """One row per annotation that a model can judge. Rows point into the snapshot and the run's predictions.

    own_*: the prediction of the same name matched to it one to one; ``own_support`` is the best
    score × IoU of that name, ``own_iou`` the best overlap with any prediction of that name, ``matched_iou`` the
    overlap with the one that is matched to it.
    rival_*: the best prediction of another name that no label of that name explains.
    any_support: the best score × IoU of any name. own_best: the highest score of its own name that overlaps
    it by ``MATCH_IOU``; part_support: the best score × shared area / smaller area of its own name.
    guest_label, guest_count, guest_score: the likeliest other name predicted inside it, how many of those lie there
    with at least half of the best one's score, and that score.
    labelled_over: the largest share of it that one other label covers. masked: whether its own prediction
    was compared with it mask by mask; then ``Outlines`` has a row for it. any_iou: the best overlap with any
    prediction, however faint. companions, rival_companions: other labels of its name, labels of the rival's
    name in its frame; frame_labels: of any name, itself too. own_in_frame: the highest score with which its
    name is predicted anywhere in its frame. own_shared: the best overlap of its own prediction with another label
    of its name. seen_iou, sure_iou: the best overlap with a prediction of any name from ``SEEN_SCORE``,
    ``SURE_SCORE`` on. label_iou, twin_iou: the best overlap with another label, with one of its name.
    rival_total: score × IoU² of all predictions of the rival's name together, which may be above 1.
    All supports, shares and IoUs in [0, 1], 0 where there is none.
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
    matched_iou: FloatArray = column(np.float64, 0.0)
    rival_support: FloatArray = column(np.float64, 0.0)
    rival_prediction: IntArray = column(np.int64, NO_ID)
    rival_label: IntArray = column(np.int64, NO_ID)
    rival_iou: FloatArray = column(np.float64, 0.0)
    rival_score: FloatArray = column(np.float64, 0.0)
    rival_xyxy: FloatArray = column(np.float64, np.nan, width=4)
    any_support: FloatArray = column(np.float64, 0.0)
    own_best: FloatArray = column(np.float64, 0.0)
    part_support: FloatArray = column(np.float64, 0.0)
    guest_label: IntArray = column(np.int64, NO_ID)
    guest_count: IntArray = column(np.int64, 0)
    guest_score: FloatArray = column(np.float64, 0.0)
    labelled_over: FloatArray = column(np.float64, 0.0)
    masked: BoolArray = column(np.bool_, False)
    any_iou: FloatArray = column(np.float64, 0.0)
    companions: IntArray = column(np.int64, 0)
    rival_companions: IntArray = column(np.int64, 0)
    frame_labels: IntArray = column(np.int64, 0)
    own_in_frame: FloatArray = column(np.float64, 0.0)
    own_shared: FloatArray = column(np.float64, 0.0)
    seen_iou: FloatArray = column(np.float64, 0.0)
    sure_iou: FloatArray = column(np.float64, 0.0)
    label_iou: FloatArray = column(np.float64, 0.0)
    twin_iou: FloatArray = column(np.float64, 0.0)
    rival_total: FloatArray = column(np.float64, 0.0)


@dataclass(frozen=True, eq=False)
class Nearby(Table):
    """Predictions of any name beside the own one of a label that may have slipped, ordered by row.

    row: of the annotation. xyxy, score: the prediction's.
    """

    row: IntArray = column(np.int64, NO_ID, required=True)
    xyxy: FloatArray = column(np.float64, np.nan, width=4, required=True)
    score: FloatArray = column(np.float64, np.nan, required=True)


@dataclass(frozen=True, eq=False)
class Outlines(Table):
    """How the mask of each label differs from that of its own prediction; one row per such pair of masks.

    row: of the annotation, ascending. boundary_iou: of the two. missing: share of the prediction that the label
    leaves out, extra: share of the label outside the prediction; *_part: the same of the largest connected part
    thicker than a rim, *_at: where that lies (``audit.core.outlines.SIDES``). growth: natural logarithm of the
    label's area over the prediction's. drift: way from the prediction's middle to the label's, as a share of the
    prediction's side. merged: how much better several predictions of its name, apart from one another, fill the
    label than any alone (gain in IoU), merged_count: how many, merged_score: the least of their scores.
    split: how much better it and other labels of its name fill the prediction together than it alone,
    split_with: the row of the largest of these, or -1. side, iou, all_round, slip, clarity, growing, moving: how
    the label would have to grow or move to become the prediction, see ``audit.core.outline_fit.Fit``; lengths in px.
    """

    row: IntArray = column(np.int64, NO_ID, required=True)
    boundary_iou: FloatArray = column(np.float64, np.nan, required=True)
    missing: FloatArray = column(np.float64, 0.0)
    extra: FloatArray = column(np.float64, 0.0)
    missing_part: FloatArray = column(np.float64, 0.0)
    extra_part: FloatArray = column(np.float64, 0.0)
    missing_at: IntArray = column(np.int64, 0)
    extra_at: IntArray = column(np.int64, 0)
    growth: FloatArray = column(np.float64, 0.0)
    drift: FloatArray = column(np.float64, 0.0, width=2)
    merged: FloatArray = column(np.float64, 0.0)
    merged_count: IntArray = column(np.int64, 0)
    merged_score: FloatArray = column(np.float64, 0.0)
    split: FloatArray = column(np.float64, 0.0)
    split_with: IntArray = column(np.int64, NO_ID)
    side: FloatArray = column(np.float64, 0.0)
    iou: FloatArray = column(np.float64, 0.0)
    all_round: FloatArray = column(np.float64, 0.0)
    slip: FloatArray = column(np.float64, 0.0, width=2)
    clarity: FloatArray = column(np.float64, 0.0)
    growing: FloatArray = column(np.float64, 0.0)
    moving: FloatArray = column(np.float64, 0.0)


@dataclass(frozen=True, eq=False)
class Unexplained(Table):
    """Predictions that no label explains, one per object.

    nearest: the annotation that overlaps it most, or -1; ``iou`` is their overlap. iou_same, iou_other: the
    best with a label of the same, of another name. inside_same, inside_other: the largest share of it that
    lies in one such label. covers_same: the largest share of one label of its name that it covers.
    clash, echo: the best score × IoU of another unexplained prediction of another, of its own name. All in [0, 1].
    covers_count: labels of its name that it mostly covers. companions: labels of its name in its frame; smallest:
    the side of the smallest (square root of its area in pixels), NaN if there is none. best_in_frame: the highest
    score of its name in its frame.
    """

    row: IntArray = column(np.int64, NO_ID, required=True)
    frame: IntArray = column(np.int64, NO_ID, required=True)
    label: IntArray = column(np.int64, NO_ID, required=True)
    xyxy: FloatArray = column(np.float64, np.nan, width=4, required=True)
    prediction_score: FloatArray = column(np.float64, np.nan, required=True)
    score: FloatArray = column(np.float64, np.nan, required=True)
    iou: FloatArray = column(np.float64, 0.0)
    nearest: IntArray = column(np.int64, NO_ID)
    iou_same: FloatArray = column(np.float64, 0.0)
    iou_other: FloatArray = column(np.float64, 0.0)
    inside_same: FloatArray = column(np.float64, 0.0)
    inside_other: FloatArray = column(np.float64, 0.0)
    covers_same: FloatArray = column(np.float64, 0.0)
    clash: FloatArray = column(np.float64, 0.0)
    echo: FloatArray = column(np.float64, 0.0)
    covers_count: IntArray = column(np.int64, 0)
    companions: IntArray = column(np.int64, 0)
    smallest: FloatArray = column(np.float64, np.nan)
    best_in_frame: FloatArray = column(np.float64, 0.0)


@dataclass(frozen=True, eq=False)
class Twins(Table):
    """Two annotations on one spot. left, right: their rows. same: whether they carry one name."""

    left: IntArray = column(np.int64, NO_ID, required=True)
    right: IntArray = column(np.int64, NO_ID, required=True)
    iou: FloatArray = column(np.float64, np.nan, required=True)
    same: BoolArray = column(np.bool_, True)


@dataclass(frozen=True, eq=False)
class Scenes(Table):
    """What the frames show: one row for each frame and name labelled or predicted in it, in this order.

    weight: the name's highest score in the frame, at least ``LABELLED`` where it is labelled.
    """

    frame: IntArray = column(np.int64, NO_ID, required=True)
    label: IntArray = column(np.int64, NO_ID, required=True)
    weight: FloatArray = column(np.float64, np.nan, required=True)


@dataclass(frozen=True)
class Sample:
    """Labels and predictions of every ``step``-th frame as they are, to learn from. judged: (annotations,).

    look: looks at the pictures of these frames; None where there are none.
    """

    annotations: Annotations
    judged: BoolArray
    predictions: Predictions
    step: int
    look: Look | None = None

    @classmethod
    def concat(cls, parts: Sequence[Sample]) -> Sample:
        """Samples of consecutive blocks as one."""
        return cls(
            Annotations.concat(p.annotations for p in parts),
            np.concatenate([p.judged for p in parts]),
            Predictions.concat(p.predictions for p in parts),
            parts[0].step,
            parts[0].look,
        )


@dataclass(frozen=True)
class Evidence:
    """All that the checks look at; blocks of frames are gathered apart and put together by ``combine``.

    frame_hw: (frames, 2) height and width of every frame of the snapshot, 0 if unknown. outlines: empty
    where nothing was compared by masks. nearby: other predictions where a label's own one lies. scenes: what the
    frames show.
    looks: (annotations, 3) what the pictures show there (``Look``), NaN where nobody looked; None without pictures.
    """

    annotations: Annotations
    frame_hw: IntArray
    labels: LabelEvidence
    unexplained: Unexplained
    twins: Twins
    sample: Sample
    outlines: Outlines = field(default_factory=Outlines)
    nearby: Nearby = field(default_factory=Nearby)
    scenes: Scenes = field(default_factory=Scenes)
    looks: FloatArray | None = None


def combine(parts: Sequence[Evidence]) -> Evidence:
    """The evidence of one or more consecutive blocks of frames as one."""
    return Evidence(
        Annotations.concat(p.annotations for p in parts),
        parts[0].frame_hw,
        LabelEvidence.concat(p.labels for p in parts),
        Unexplained.concat(p.unexplained for p in parts),
        Twins.concat(p.twins for p in parts),
        Sample.concat([p.sample for p in parts]),
        Outlines.concat(p.outlines for p in parts),
        Nearby.concat(p.nearby for p in parts),
        Scenes.concat(p.scenes for p in parts),
        None if parts[0].looks is None else np.concatenate([p.looks for p in parts if p.looks is not None]),
    )
