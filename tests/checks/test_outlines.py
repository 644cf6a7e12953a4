"""Masks against predicted masks, on small situations whose right answer is plain."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from audit.checks import ALL_TYPES, find, study, with_reasons, witnesses
from audit.checks.evidence import Evidence, combine, gather
from audit.checks.outline_learning import PRIOR
from audit.checks.outline_words import fraction
from audit.core.annotations import Annotations, Frames, Predictions, ShapeType, Snapshot
from audit.core.findings import Findings, FindingType
from audit.core.masks import box_of, encode, rle_of_rings
from audit.core.outlines import SIDES
from audit.core.table import objects

HW = (400, 400)
LABELS = ("person", "dog")
Mask = NDArray[np.bool_]
T = FindingType


def rectangle(x1: int, y1: int, x2: int, y2: int) -> Mask:
    mask = np.zeros(HW, bool)
    mask[y1:y2, x1:x2] = True
    return mask


def disc(x: float, y: float, radius: float) -> Mask:
    rows, columns = np.mgrid[: HW[0], : HW[1]]
    return np.asarray((columns - x) ** 2 + (rows - y) ** 2 < radius**2)


def labelled(masks: list[tuple[Mask, int]]) -> Annotations:
    counts = [encode(m) for m, _ in masks]
    return Annotations(
        xyxy=np.array([box_of(c, HW) for c in counts]).reshape(-1, 4),
        frame=[0] * len(masks),
        label=[code for _, code in masks],
        annotation_id=np.arange(len(masks)) + 1,
        shape=[ShapeType.MASK] * len(masks),
        mask=objects(counts),
    )


def predicted(masks: list[tuple[Mask, int, float]]) -> Predictions:
    counts = [encode(m) for m, _, _ in masks]
    return Predictions(
        xyxy=np.array([box_of(c, HW) for c in counts]).reshape(-1, 4),
        label=[code for _, code, _ in masks],
        score=[score for _, _, score in masks],
        mask=objects(counts),
    )


def evidence_of(labels: list[tuple[Mask, int]], predictions: list[tuple[Mask, int, float]]) -> Evidence:
    a = labelled(labels)
    return gather(a, predicted(predictions), judged=np.ones(len(a), bool), frame_hw=np.array([HW]))


def low_iou(labels: list[tuple[Mask, int]], predictions: list[tuple[Mask, int, float]]) -> Findings:
    """Low IoU findings of a frame, with reasons."""
    return low_iou_of(evidence_of(labels, predictions))


def low_iou_of(evidence: Evidence) -> Findings:
    frames = Frames(name=["a.jpg"], number=[0], width=[HW[1]], height=[HW[0]])
    snapshot = Snapshot("x", LABELS, frames, evidence.annotations)
    found = find(combine([evidence]), snapshot, types=ALL_TYPES, floor=0.0)
    found = with_reasons(found, snapshot, np.array([HW]), witnesses(found, evidence))
    return found[found.type == T.LOW_OVERLAP]


WHOLE = rectangle(100, 100, 260, 260)
CASES = {
    "eroded": rectangle(116, 116, 244, 244),
    "dilated": rectangle(76, 76, 284, 284),
    "shifted": rectangle(140, 100, 300, 260),
    "cut": rectangle(100, 100, 200, 260),
}
SAID = {
    "eroded": "This shape is about 15 px too small all round for the predicted dog (95 %); "
    "the masks overlap by 64 % (IoU), the outlines by 0 %.",
    "dilated": "This shape is about 25 px too large all round for the predicted dog (95 %); ",
    "shifted": "This shape lies about 40 px too far right for the predicted dog (95 %); ",
    "cut": "Two fifths of the predicted dog (95 %) is missing at the right; ",
}


def neighbours() -> tuple[list[tuple[Mask, int]], list[tuple[Mask, int, float]]]:
    """A dozen labels that fit their predictions as labels do, beside ``WHOLE``."""
    places = [(10 + 32 * i, y) for i in range(6) for y in (10, 330)]
    labels = [(rectangle(x, y, x + 28, y + 40 + i % 5), 1) for i, (x, y) in enumerate(places)]
    return labels, [(rectangle(x + i % 3, y, x + 28, y + 41), 1, 0.9) for i, (x, y) in enumerate(places)]


def test_nothing_gives_nothing() -> None:
    assert len(evidence_of([], []).outlines) == 0
    assert len(evidence_of([], [(WHOLE, 1, 0.9)]).outlines) == 0
    assert len(evidence_of([(WHOLE, 1)], []).outlines) == 0


def test_boxes_have_no_outlines() -> None:
    a, p = labelled([(WHOLE, 1)]), predicted([(WHOLE, 1, 0.9)])
    hw = np.array([HW])
    for labels, predictions in ((a, p.replace(mask=None)), (a.replace(mask=None), p)):
        evidence = gather(labels, predictions, judged=np.ones(1, bool), frame_hw=hw)
        assert len(evidence.outlines) == 0
        assert not evidence.labels.masked.any()
    unknown_size = gather(a, p, judged=np.ones(1, bool), frame_hw=np.zeros((1, 2), np.int64))
    assert len(unknown_size.outlines) == 0


def test_a_predicted_box_is_said_to_be_compared_with_the_box_around_a_shape() -> None:
    for shape, said in ((ShapeType.MASK, "the box around this shape"), (ShapeType.RECTANGLE, "this shape")):
        a = labelled([(CASES["eroded"], 1)]).replace(shape=[shape])
        evidence = gather(
            a,
            predicted([(WHOLE, 1, 0.95)]).replace(mask=None),
            judged=np.ones(1, bool),
            frame_hw=np.array([HW]),
        )
        found = low_iou_of(evidence)
        assert found.reason[0] == (
            f"The predicted dog (95 %) and {said} overlap by 64 % (IoU): it is about 16 px too small on every side."
        )


def test_a_good_mask_is_no_finding() -> None:
    evidence = evidence_of([(WHOLE, 1)], [(WHOLE, 1, 0.95)])
    assert evidence.outlines.boundary_iou.tolist() == [1]
    assert evidence.labels.masked.tolist() == [True]
    assert low_iou([(WHOLE, 1)], [(WHOLE, 1, 0.95)]).score.max(initial=0) < 0.05


@pytest.mark.parametrize("case", CASES)
def test_a_bad_mask_is_likelier_wrong_than_a_good_one(case: str) -> None:
    wobbly = rectangle(102, 99, 259, 262)
    labels, predictions = neighbours()
    bad = low_iou([(CASES[case], 1), *labels], [(WHOLE, 1, 0.95), *predictions])
    good = low_iou([(wobbly, 1), *labels], [(WHOLE, 1, 0.95), *predictions])
    assert bad.score[0] > 0.1
    assert max(bad.score[1:].max(initial=0), good.score.max(initial=0)) < 0.05
    assert bad.annotation_id[0] == 1
    assert bad.reason[0].startswith(SAID[case])
    assert bad.suggested_xyxy[0].tolist() == [100, 100, 260, 260]
    assert bad.iou[0] == pytest.approx((CASES[case] & WHOLE).sum() / (CASES[case] | WHOLE).sum())


def test_figures_of_a_cut_mask() -> None:
    o = evidence_of([(CASES["cut"], 1)], [(WHOLE, 1, 0.95)]).outlines
    assert (o.missing[0], o.extra[0], o.missing_part[0], o.extra_part[0]) == pytest.approx((0.375, 0, 0.375, 0))
    assert SIDES[o.missing_at[0]] == "right"
    assert o.growth[0] == pytest.approx(np.log(100 / 160))
    assert o.drift[0].tolist() == pytest.approx([-30 / 160, 0])


def test_a_label_over_two_objects_is_merged() -> None:
    one, other = rectangle(50, 100, 150, 300), rectangle(152, 100, 252, 300)
    found = low_iou([(one | other, 0)], [(one, 0, 0.95), (other, 0, 0.8)])
    assert found.score[0] > 0.3
    assert found.reason[0].startswith(
        "This shape covers two objects predicted apart as person (each at 80 % or more): merged; "
    )
    o = evidence_of([(one | other, 0)], [(one, 0, 0.95), (other, 0, 0.8)]).outlines
    assert (o.merged_count[0], o.merged_score[0]) == (2, 0.8)
    assert o.merged[0] == pytest.approx(0.5)


def test_an_object_and_its_part_are_not_merged() -> None:
    """A face within a person, and a person that one prediction covers wholly, are one object."""
    person, face = rectangle(50, 50, 150, 350), rectangle(70, 60, 130, 120)
    assert evidence_of([(person, 0)], [(person, 0, 0.9), (face, 0, 0.9)]).outlines.merged[0] == 0
    upper, lower = rectangle(50, 50, 150, 200), rectangle(50, 200, 150, 350)
    whole_too = [(person, 0, 0.9), (upper, 0, 0.5), (lower, 0, 0.5)]
    assert evidence_of([(person, 0)], whole_too).outlines.merged[0] == 0


def test_neighbours_with_labels_of_their_own_are_not_merged() -> None:
    one, other = rectangle(50, 100, 150, 300), rectangle(150, 100, 250, 300)
    evidence = evidence_of([(one, 0), (other, 0)], [(one, 0, 0.9), (other, 0, 0.9)])
    assert evidence.outlines.merged.tolist() == evidence.outlines.split.tolist() == [0, 0]


def test_objects_of_other_names_are_not_merged() -> None:
    one, other = rectangle(50, 100, 150, 300), rectangle(152, 100, 252, 300)
    assert evidence_of([(one | other, 0)], [(one, 0, 0.9), (other, 1, 0.9)]).outlines.merged[0] == 0


def test_one_object_in_two_labels_is_split() -> None:
    left, right = rectangle(50, 100, 150, 200), rectangle(150, 100, 230, 200)
    found = low_iou([(left, 1), (right, 1)], [(left | right, 1, 0.94)])
    assert found.annotation_id.tolist()[0] == 1
    assert found.related[0] == 1
    assert found.score[0] > 0.3
    assert found.reason[0].startswith("This shape and another dog together fill the one predicted dog (94 %): split; ")
    assert found.suggested_xyxy[0].tolist() == [50, 100, 230, 200]


def test_a_faint_prediction_of_a_piece_does_not_hide_a_split() -> None:
    left, right = rectangle(50, 100, 150, 200), rectangle(150, 100, 230, 200)
    predictions = [(left | right, 1, 0.94), (right, 1, 0.05)]
    assert evidence_of([(left, 1), (right, 1)], predictions).outlines.split.max() == pytest.approx(80 / 180)


def test_two_pieces_that_name_each_other_are_one_finding() -> None:
    left, right = rectangle(50, 100, 150, 200), rectangle(150, 100, 230, 200)
    found = low_iou([(left, 1), (right, 1)], [(left | right, 1, 0.94), (left | right, 1, 0.4)])
    assert found.score[0] > 0.3
    assert found.score[1:].max(initial=0) == 0


def test_two_objects_under_one_prediction_each_with_its_own_are_not_split() -> None:
    left, right = rectangle(50, 100, 150, 200), rectangle(150, 100, 230, 200)
    predictions = [(left | right, 1, 0.5), (left, 1, 0.9), (right, 1, 0.9)]
    assert evidence_of([(left, 1), (right, 1)], predictions).outlines.split.max() == 0


def test_a_big_objects_bad_outline_counts_although_its_iou_is_high() -> None:
    """A jagged outline costs a large object little IoU, but much of its boundary."""
    smooth = disc(200, 200, 150)
    rows, columns = np.mgrid[: HW[0], : HW[1]]
    angle = np.arctan2(rows - 200, columns - 200)
    jagged = (columns - 200) ** 2 + (rows - 200) ** 2 < (150 + 12 * np.sign(np.sin(12 * angle))) ** 2
    slim = rectangle(100, 100, 260, 260)
    evidence = evidence_of([(jagged, 1), (slim, 0)], [(smooth, 1, 0.9), (slim, 0, 0.9)])
    own = evidence.labels.own_iou
    assert own[0] > 0.84
    assert evidence.outlines.boundary_iou[0] < 0.45


def test_polygons_are_compared_as_masks() -> None:
    ring = np.array([[100.0, 100], [200, 100], [200, 260], [100, 260]])
    a = Annotations(
        xyxy=[[100, 100, 200, 260]],
        frame=[0],
        label=[1],
        annotation_id=[1],
        shape=[ShapeType.POLYGON],
        points=objects([(ring,)]),
    )
    p = predicted([(WHOLE, 1, 0.95)])
    o = gather(a, p, judged=np.ones(1, bool), frame_hw=np.array([HW])).outlines
    drawn = labelled([(np.zeros(HW, bool), 1)]).replace(mask=objects([rle_of_rings([ring], HW)]), xyxy=a.xyxy)
    expected = gather(drawn, p, judged=np.ones(1, bool), frame_hw=np.array([HW])).outlines
    for name, column in o.columns().items():
        assert np.array_equal(column, expected.columns()[name]), name


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (0.05, "5 %"),
        (0.1, "a tenth"),
        (0.12, "an eighth"),
        (0.26, "a quarter"),
        (0.37, "two fifths"),
        (0.7, "two thirds"),
    ],
)
def test_shares_in_words(share: float, words: str) -> None:
    assert fraction(share) == words


def test_what_masks_teach_stays_with_masks() -> None:
    """Without masks the weights of masks are the prior's; with a few dozen they are adapted to them."""
    rng = np.random.default_rng(0)
    places = [(60 + 90 * (i % 4), 60 + 90 * (i // 4)) for i in range(16)]
    shapes = [disc(x, y, rng.uniform(15, 40)) for x, y in places]
    evidence = evidence_of([(m, 0) for m in shapes], [(m, 0, 0.9) for m in shapes])
    learnt = study(evidence, 2).outlines
    assert not np.array_equal(learnt.weights, PRIOR)
    assert np.array_equal(study(evidence, 2, learn=False).outlines.weights, PRIOR)
    plain = evidence.annotations.replace(mask=None)
    boxes = gather(plain, Predictions(), judged=np.ones(16, bool), frame_hw=np.array([HW]))
    assert np.array_equal(study(boxes, 2).outlines.weights, PRIOR)


def test_blocks_of_frames_change_nothing() -> None:
    labels = labelled([(CASES["cut"], 1), (WHOLE, 0), (CASES["eroded"], 1)]).replace(frame=[0, 1, 1])
    p = predicted([(WHOLE, 1, 0.9), (WHOLE, 0, 0.8), (WHOLE, 1, 0.7)]).replace(frame=[0, 1, 1])
    hw = np.array([HW, HW])
    whole = combine([gather(labels, p, judged=np.ones(3, bool), frame_hw=hw)])
    parts = [
        gather(labels[:1], p[:1], judged=np.ones(1, bool), frame_hw=hw),
        gather(labels[1:], p[1:], judged=np.ones(2, bool), frame_hw=hw, first_annotation=1,
               prediction_rows=np.array([1, 2])),
    ]  # fmt: skip
    together = combine(parts)
    for name, column in whole.outlines.columns().items():
        assert np.array_equal(column, together.outlines.columns()[name]), name
