"""The checks together, on small situations whose right answer is plain."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.checks import ALL_TYPES, find, with_reasons, witnesses
from audit.checks.evidence import combine, gather
from audit.core.annotations import Annotations, Frames, Predictions, ShapeType, Snapshot
from audit.core.findings import Findings, FindingType, caption
from audit.core.masks import encode, rle_of_rings
from audit.core.table import objects
from tests.scenes import scene

LABELS = ("person", "car", "truck")
T = FindingType


def situation(
    labels: list[tuple[list[float], int]],
    predictions: list[tuple[list[float], int, float]],
    *,
    types: tuple[FindingType, ...] = ALL_TYPES,
    **columns: object,
) -> Findings:
    """Findings in one 600 x 600 frame."""
    a = Annotations(
        xyxy=[b for b, _ in labels],
        frame=[0] * len(labels),
        label=[c for _, c in labels],
        annotation_id=np.arange(len(labels)) + 1,
        **columns,
    )
    p = Predictions(
        xyxy=[b for b, _, _ in predictions], label=[c for _, c, _ in predictions], score=[s for _, _, s in predictions]
    )
    frames = Frames(name=["a.jpg"], number=[0], width=[600], height=[600])
    snapshot = Snapshot("x", LABELS, frames, a)
    hw = np.array([[600, 600]])
    evidence = gather(a, p, judged=np.ones(len(a), bool), frame_hw=hw)
    findings = find(combine([evidence]), snapshot, types=types)
    return with_reasons(findings, snapshot, hw, witnesses(findings, evidence))


def strong(findings: Findings, least: float = 0.3) -> list[tuple[FindingType, int]]:
    """Type and annotation id of the findings worth a look."""
    keep = findings.score >= least
    return [(T(t), i) for t, i in zip(findings.type[keep].tolist(), findings.annotation_id[keep].tolist(), strict=True)]


BOX = [100.0, 100, 300, 300]


def test_nothing_gives_nothing() -> None:
    assert len(situation([], [])) == 0


def test_agreement_gives_nothing() -> None:
    assert strong(situation([(BOX, 0)], [(BOX, 0, 0.9)]), 0.05) == []


def test_missing() -> None:
    found = situation([], [(BOX, 1, 0.97)])
    assert strong(found) == [(T.MISSING_ANNOTATION, -1)]
    assert found.suggested_xyxy[0].tolist() == BOX
    assert caption(found.type[0], "", LABELS[found.suggested_label[0]], 0.97) == "Missing label: car (97.0 %)"
    assert found.reason[0] == "A car is predicted here at 97 %; no label touches it."


def test_one_object_predicted_many_times_is_missing_once() -> None:
    near = [[b + d for b in BOX] for d in (0, 4, 8)]
    assert strong(situation([], [(b, 1, s) for b, s in zip(near, (0.9, 0.8, 0.7), strict=True)]), 0.02) == [
        (T.MISSING_ANNOTATION, -1)
    ]


def test_a_slipped_box_is_one_finding() -> None:
    found = situation([([180, 160, 380, 360], 0)], [(BOX, 0, 0.9)])
    assert [T(t) for t in found.type] == [T.LOW_OVERLAP]
    assert found.annotation_id.tolist() == [1]
    assert found.suggested_xyxy[0].tolist() == BOX
    assert 0.2 < found.iou[0] < 0.4


def test_wrong_label_proposes_the_other_name() -> None:
    found = situation([(BOX, 1)], [(BOX, 2, 0.9)])
    assert [T(t) for t in found.type] == [T.MISMATCHING_LABEL]
    assert (found.label[0], found.suggested_label[0]) == (1, 2)


def test_a_neighbour_of_another_name_is_no_wrong_label() -> None:
    """The truck's prediction is explained by the truck's own label."""
    other = [140.0, 100, 340, 300]
    found = situation([(BOX, 1), (other, 2)], [(BOX, 1, 0.6), (other, 2, 0.95)])
    assert strong(found) == []


def test_extra() -> None:
    found = situation([(BOX, 0), ([400, 400, 500, 500], 0)], [(BOX, 0, 0.9)])
    assert strong(found) == [(T.EXTRA_ANNOTATION, 2)]
    assert found.reason[0] == "No person is predicted here, not even at 1 %."


def test_an_extra_label_says_what_else_is_there() -> None:
    inside = [([110.0 + 60 * i, 110, 150 + 60 * i, 200], 2, 0.6) for i in range(3)]
    found = situation([(BOX, 0)], inside, types=(T.EXTRA_ANNOTATION,))
    assert (
        found.reason[0]
        == "No person is predicted here, not even at 1 %. Inside it, 3 objects are predicted as truck, at up to 60 %."
    )


def test_an_extra_label_says_how_faint_its_own_name_is() -> None:
    found = situation([(BOX, 0)], [([100, 100, 300, 200], 0, 0.04)], types=(T.EXTRA_ANNOTATION,))
    assert found.reason[0] == "No person is predicted here above 4 %, overlapping by 50 % (IoU) at best."


def test_a_wrong_label_says_what_speaks_for_its_own_name() -> None:
    none, some = situation([(BOX, 1)], [(BOX, 2, 0.9)]), situation([(BOX, 1)], [(BOX, 2, 0.9), (BOX, 1, 0.07)])
    assert none.reason[0] == "A truck is predicted here at 90 %; no car is predicted here, not even at 1 %."
    assert some.reason[0] == "A truck is predicted here at 90 %; car at no more than 7 %."


def test_one_object_under_two_names_is_likely_a_mistake_without_any_model() -> None:
    near = [102.0, 100, 300, 296]
    found = situation([(BOX, 0), (near, 1)], [], types=(T.DUPLICATE_ANNOTATION,))
    assert strong(found, 0.7) == [(T.DUPLICATE_ANNOTATION, 2)]
    assert found.reason[0] == "This shape and another, labelled person, overlap by 97 % (IoU)."
    assert strong(situation([(BOX, 0), ([100, 160, 300, 300], 1)], [], types=(T.DUPLICATE_ANNOTATION,)), 0.3) == []


def test_a_faint_prediction_speaks_against_extra() -> None:
    bare = situation([(BOX, 0)], [])
    faint = situation([(BOX, 0)], [(BOX, 0, 0.05)])
    assert bare.score[0] > 0.1 > faint.score.max(initial=0)


def test_duplicate_names_the_copy_the_model_supports_less() -> None:
    copy = [106.0, 104, 310, 300]
    found = situation([(copy, 0), (BOX, 0)], [(BOX, 0, 0.9)])
    assert strong(found) == [(T.DUPLICATE_ANNOTATION, 1)]
    assert found.related[0] == 1


def test_an_exact_copy_names_the_later_one() -> None:
    assert strong(situation([(BOX, 0), (BOX, 0)], [(BOX, 0, 0.9)])) == [(T.DUPLICATE_ANNOTATION, 2)]


def test_two_people_close_together_are_no_duplicate() -> None:
    other = [150.0, 100, 350, 300]
    assert strong(situation([(BOX, 0), (other, 0)], [(BOX, 0, 0.9), (other, 0, 0.9)])) == []


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ([10, 10, float("nan"), 20], "A coordinate is not a number."),
        ([30, 10, 20, 40], "The corners are swapped."),
        ([10, 10, 10.4, 40], "The shape has no area."),
        ([700, 10, 800, 40], "The shape lies outside the image."),
        ([500, 10, 700, 40], "Part of the shape lies outside the image."),
    ],
)
def test_invalid(box: list[float], reason: str) -> None:
    found = situation([(box, 0)], [], types=(T.INVALID_SHAPE,))
    assert [T(t) for t in found.type] == [T.INVALID_SHAPE]
    assert found.reason[0] == reason


def test_a_slipped_box_that_sticks_out_a_little_is_called_slipped() -> None:
    found = situation([([420, 160, 620, 360], 0)], [([360, 100, 560, 300], 0, 0.9)])
    assert strong(found) == [(T.LOW_OVERLAP, 1)]


def test_a_shape_outside_the_image_is_invalid_first() -> None:
    found = situation([([700, 10, 800, 40], 0)], [])
    assert strong(found) == [(T.INVALID_SHAPE, 1)]


def test_invalid_outline_and_mask() -> None:
    boxes = [(BOX, 0), (BOX, 0)]
    found = situation(
        boxes,
        [],
        types=(T.INVALID_SHAPE,),
        shape=[ShapeType.POLYGON, ShapeType.MASK],
        points=objects([(np.zeros((2, 2)),), None]),
        mask=objects([None, encode(np.zeros((600, 600)))]),
    )
    assert sorted(found.reason) == ["The mask is empty.", "The outline has fewer than three points."]


def test_crowds_and_their_members_give_nothing() -> None:
    found = situation([([0, 0, 600, 600], 0)], [(BOX, 0, 0.9)], crowd=[True])
    assert len(found) == 0


def test_polylines_are_not_compared() -> None:
    found = situation([([0, 0, 600, 600], 0)], [], shape=[ShapeType.POLYLINE])
    assert len(found) == 0


def test_masks_decide_where_both_have_one() -> None:
    """Two triangles of one box: the boxes agree, the masks do not."""
    upper, lower = np.array([[100, 100], [300, 100], [100, 300]]), np.array([[300, 300], [300, 100], [100, 300]])
    a = Annotations(
        xyxy=[BOX], frame=[0], label=[0], annotation_id=[1], shape=[ShapeType.POLYGON], points=objects([(upper,)])
    )
    frames = Frames(name=["a.jpg"], number=[0], width=[600], height=[600])
    hw = np.array([[600, 600]])
    scores = []
    for ring in (upper, lower):
        mask = rle_of_rings([ring], (600, 600))
        p = Predictions(xyxy=[BOX], label=[0], score=[0.9], mask=objects([mask]))
        evidence = gather(a, p, judged=np.ones(1, bool), frame_hw=hw)
        found = find(combine([evidence]), Snapshot("x", LABELS, frames, a))
        scores.append(found.score.max(initial=0))
    assert scores[0] < 0.05
    assert scores[1] > 0.3


def test_labels_the_model_does_not_know_are_left_alone() -> None:
    a = Annotations(xyxy=[BOX], frame=[0], label=[0], annotation_id=[1])
    evidence = gather(a, Predictions(), judged=np.zeros(1, bool), frame_hw=np.array([[600, 600]]))
    frames = Frames(name=["a.jpg"], number=[0])
    assert len(find(combine([evidence]), Snapshot("x", LABELS, frames, a))) == 0


def found_in(snapshot: Snapshot, predictions: Predictions, block: int = 10**9) -> Findings:
    hw = np.column_stack([snapshot.frames.height, snapshot.frames.width])
    parts = []
    for start in range(0, len(snapshot.frames), block):
        a = slice(*np.searchsorted(snapshot.annotations.frame, [start, start + block]))
        p = slice(*np.searchsorted(predictions.frame, [start, start + block]))
        rows = np.arange(p.start, p.stop)
        block_a = snapshot.annotations[a]
        parts.append(gather(block_a, predictions[p], judged=np.ones(len(block_a), bool), frame_hw=hw,
                            first_annotation=a.start, prediction_rows=rows))  # fmt: skip
    return find(combine(parts), snapshot)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 9))
def test_blocks_change_nothing(seed: int, block: int) -> None:
    snapshot, predictions = scene(seed, frames=8)
    whole, pieces = found_in(snapshot, predictions), found_in(snapshot, predictions, block)
    for name, column in whole.columns().items():
        assert np.array_equal(column, pieces.columns()[name], equal_nan=column.dtype.kind == "f"), name


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_laws(seed: int) -> None:
    snapshot, predictions = scene(seed, frames=6)
    found = found_in(snapshot, predictions)
    assert ((found.score >= 0) & (found.score <= 1)).all()
    assert (np.diff(found.score) <= 0).all()
    assert len(set(found.id)) == len(found)
    on_label = found.annotation[found.annotation >= 0]
    assert len(set(on_label.tolist())) == len(on_label)
    proposed = found.prediction[(found.prediction >= 0) & (found.type == T.MISSING_ANNOTATION)]
    assert len(set(proposed.tolist())) == len(proposed)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_shuffled_labels_give_the_same_findings(seed: int) -> None:
    snapshot, predictions = scene(seed, frames=6)
    order = np.random.default_rng(seed).permutation(len(snapshot.annotations))
    order = order[np.argsort(snapshot.annotations.frame[order], kind="stable")]
    shuffled = replace(snapshot, annotations=snapshot.annotations[order])
    assert sorted(found_in(snapshot, predictions).id) == sorted(found_in(shuffled, predictions).id)


def test_ids_do_not_depend_on_scores() -> None:
    one = situation([], [(BOX, 1, 0.97)])
    two = situation([], [(BOX, 1, 0.55)])
    assert one.id.tolist() == two.id.tolist()
    assert one.id.tolist() != situation([], [(BOX, 2, 0.97)]).id.tolist()


def test_an_object_labelled_twice_that_no_model_sees_is_told_as_a_duplicate() -> None:
    found = situation([(BOX, 0), ([c + 1 for c in BOX], 0)], [])
    assert FindingType.DUPLICATE_ANNOTATION in found.type.tolist()
    assert len(set(found.annotation_id.tolist())) == len(found)
