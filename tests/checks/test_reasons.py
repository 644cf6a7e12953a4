"""Sentences of findings: each must be true of the predictions, and say what is known, no more."""

from __future__ import annotations

import numpy as np
import pytest

from audit.checks.evidence import gather
from audit.checks.low_overlap import low_overlap
from audit.checks.reasons import sides_off, with_reasons, witnesses
from audit.core.annotations import Annotations, Frames, Predictions, Snapshot
from audit.core.edges import edge_map, looks
from audit.core.findings import Findings, FindingType

LABELS = ("person", "umbrella", "truck")
BOX = [100.0, 100, 300, 300]
HW = np.array([[600, 600]])
T = FindingType
Labelled = list[tuple[list[float], int]]
Predicted = list[tuple[list[float], int, float]]


def tables(labels: Labelled, predictions: Predicted) -> tuple[Annotations, Predictions]:
    """Of one frame."""
    a = Annotations(
        xyxy=[b for b, _ in labels],
        frame=[0] * len(labels),
        label=[c for _, c in labels],
        annotation_id=np.arange(len(labels)) + 1,
    )
    return a, Predictions(
        xyxy=[b for b, _, _ in predictions], label=[c for _, c, _ in predictions], score=[s for _, _, s in predictions]
    )


def said(kind: FindingType, labels: Labelled, predictions: Predicted, lowest: float = 0.01, **of: object) -> str:
    """The sentence of a finding of this kind on the first label. of: the finding's other columns."""
    a, p = tables(labels, predictions)
    evidence = gather(a, p, judged=np.ones(len(a), bool), frame_hw=HW)
    frames = Frames(name=["a.jpg"], number=[0], width=[600], height=[600])
    about = {"annotation": [0], "label": [labels[0][1]], "xyxy": [labels[0][0]]} if labels else {}
    found = Findings(type=[kind], frame=[0], score=[0.5], **{**about, **of})  # type: ignore[arg-type]  # any column
    told = with_reasons(found, Snapshot("x", LABELS, frames, a), HW, witnesses(found, evidence), lowest=lowest)
    return str(told.reason[0])


def test_no_findings_need_no_words() -> None:
    none = with_reasons(Findings(), Snapshot("x", LABELS, Frames(), Annotations()), HW)
    assert len(none.reason) == 0


def test_a_missing_label_names_its_neighbour() -> None:
    of = {"annotation": [-1], "label": [-1], "suggested_label": [1], "prediction_score": [0.4], "related": [0]}
    assert said(T.MISSING_ANNOTATION, [(BOX, 2)], [], iou=[0.002], **of) == (
        "An umbrella is predicted here at 40 %; the closest label, a truck, overlaps it by less than 1 % (IoU)."
    )


@pytest.mark.parametrize(
    ("lowest", "words"),
    [
        (0.0, "not even at 1 %."),
        (0.011, "not even at 1 %."),
        (0.25, "here (predictions begin at 25 %)."),
        (1.0, "predicted here."),
    ],
)
def test_nothing_is_claimed_of_predictions_that_are_not_given(lowest: float, words: str) -> None:
    assert said(T.EXTRA_ANNOTATION, [(BOX, 0)], [], lowest).endswith(words)


def test_what_lies_beside_an_extra_label_is_told() -> None:
    beside = ([280.0, 100, 480, 300], 0, 0.9)
    assert said(T.EXTRA_ANNOTATION, [(BOX, 0)], [beside]) == (
        "The person predicted closest overlaps this shape by only 5 % (IoU)."
    )


@pytest.mark.parametrize(
    ("noisy", "words"),
    [
        (slice(300, None), " The picture is rather even there: its edges have less than 1 % of their usual strength."),
        (slice(None), ""),
        (slice(0, 0), ""),
    ],
)
def test_an_extra_label_on_nothing_says_so(noisy: slice, words: str) -> None:
    grey = np.full((600, 600), 128, np.uint8)
    grey[noisy] = np.random.default_rng(0).integers(0, 256, grey[noisy].shape)
    a, p = tables([([100.0, 100, 180, 180], 0)], [])
    edges = edge_map(grey)
    judged = np.ones(1, bool)
    evidence = gather(a, p, judged=judged, frame_hw=HW, look=lambda frame, xyxy: looks(edges, xyxy))
    found = Findings(type=[T.EXTRA_ANNOTATION], frame=[0], score=[0.5], annotation=[0], label=[0], xyxy=a.xyxy)
    snapshot = Snapshot("x", LABELS, Frames(name=["a.jpg"], number=[0], width=[600], height=[600]), a)
    told = with_reasons(found, snapshot, HW, witnesses(found, evidence))
    assert told.reason[0] == "No person is predicted here, not even at 1 %." + words


def test_a_prediction_that_another_label_takes_is_not_told_as_its_own() -> None:
    labels: Labelled = [(BOX, 0), ([180.0, 100, 380, 300], 0)]
    taken = ([180.0, 100, 380, 300], 0, 0.83)
    assert said(T.EXTRA_ANNOTATION, labels, [taken]) == "The person predicted here at 83 % fits another label better."
    assert said(T.EXTRA_ANNOTATION, labels, [taken, (BOX, 0, 0.04)]) == (
        "The person predicted here at 83 % fits another label better; for this one, 4 % is left."
    )
    of = {"suggested_label": [2], "prediction_score": [0.5]}
    assert said(T.MISMATCHING_LABEL, labels, [taken, (BOX, 2, 0.5)], **of) == (
        "A truck is predicted here at 50 %; the person predicted here at 83 % fits another label better."
    )


def test_faint_echoes_inside_an_extra_label_are_not_counted() -> None:
    inside: Predicted = [([110.0 + d, 110, 190 + d, 200], 2, s) for d, s in ((0, 0.6), (4, 0.2), (90, 0.05))]
    told = said(T.EXTRA_ANNOTATION, [(BOX, 0)], inside)
    assert told.endswith(" Inside it, one object is predicted as truck, at 60 %.")


def test_a_wrong_label_does_not_deny_what_lies_close() -> None:
    close = ([280.0, 100, 480, 300], 0, 0.9)
    of = {"suggested_label": [1], "prediction_score": [0.5]}
    assert said(T.MISMATCHING_LABEL, [(BOX, 0)], [close, (BOX, 1, 0.5)], **of) == (
        "An umbrella is predicted here at 50 %; the person predicted closest overlaps this shape by only 5 % (IoU)."
    )


@pytest.mark.parametrize(
    ("iou", "words"),
    [
        (0.2, "is predicted here at 50 %"),
        (0.19, "is predicted at 50 %, overlapping this shape by 19 % (IoU)"),
        (0.003, "is predicted at 50 %, overlapping this shape by less than 1 % (IoU)"),
    ],
)
def test_what_hardly_overlaps_a_wrong_label_is_not_said_to_be_here(iou: float, words: str) -> None:
    of = {"suggested_label": [1], "prediction_score": [0.5], "iou": [iou]}
    told = said(T.MISMATCHING_LABEL, [(BOX, 0)], [(BOX, 1, 0.5)], **of)
    assert told == f"An umbrella {words}; no person is predicted here, not even at 1 %."


def test_the_overlap_told_is_that_with_the_box_proposed() -> None:
    labels: Labelled = [(BOX, 0)]
    predictions: Predicted = [([100.0, 100, 300, 220], 0, 0.9), ([100.0, 100, 300, 280], 0, 0.02)]
    evidence = gather(*tables(labels, predictions), judged=np.ones(1, bool), frame_hw=HW)
    found = low_overlap(evidence, np.array([0]), np.array([0.5]))
    assert found.suggested_xyxy[0].tolist() == predictions[0][0]
    assert found.iou == pytest.approx([0.6])
    assert evidence.labels.own_iou == pytest.approx([0.9])  # of the faint one, by which it counts as less slipped


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ([100.0, 100, 300, 300], ""),
        ([104.0, 100, 300, 296], ""),
        ([60.0, 100, 300, 300], ": its left side lies 40 px too far left"),
        ([100.0, 100, 300, 200], ": its bottom lies 100 px too high"),
        ([140.0, 150, 300, 300], ": its top lies 50 px too low and its left side lies 40 px too far right"),
        ([116.0, 120, 284, 284], ": it is about 17 px too small on every side"),
        ([84.0, 80, 316, 312], ": it is about 16 px too large on every side"),
        ([140.0, 90, 320, 295], ": its left side lies 40 px too far right and its right side lies 20 px too far right"),
    ],
)
def test_a_slipped_box_says_which_sides_are_off(box: list[float], words: str) -> None:
    one, other = np.array([[0.0] * 4, box]), np.array([[0.0] * 4, BOX])
    assert sides_off(one, other, np.array([False, True])).get(1, "") == words
