from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.core.annotations import Annotations
from audit.core.boxes import iou_matrix
from audit.core.findings import FindingType as T
from audit.trust.planting import SHIFT_IOU, SOUND, plant, row_iou
from tests.scenes import scene


def made(seed: int, kind: T) -> tuple[Annotations, Annotations, np.ndarray]:
    """The clean labels, those with one kind of mistake, and the rows of their originals."""
    snapshot, _ = scene(seed, frames=12)
    hw = np.full((12, 2), 600)
    planted = plant(snapshot.annotations, hw, seed, 0.1)
    rows = planted.mistake == kind
    return snapshot.annotations, planted.annotations[rows], planted.original[rows]


def test_each_kind_as_often_as_asked_and_the_rest_untouched() -> None:
    snapshot, _ = scene(3, frames=12)
    a = snapshot.annotations
    planted = plant(a, np.full((12, 2), 600), 3, 0.1)
    k = round(0.1 * len(a))
    assert len(planted.dropped) == k
    for kind in (T.LOW_OVERLAP, T.MISMATCHING_LABEL, T.EXTRA_ANNOTATION, T.DUPLICATE_ANNOTATION):
        assert (planted.mistake == kind).sum() == k
    sound = planted.mistake == SOUND
    assert sound.sum() == len(a) - 3 * k
    original = a[planted.original[sound]]
    assert np.array_equal(planted.annotations.xyxy[sound], original.xyxy)
    assert np.array_equal(planted.annotations.label[sound], original.label)
    assert not np.isin(planted.dropped.annotation_id, planted.annotations.annotation_id[planted.original >= 0]).any()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_slipped_boxes_overlap_their_place_in_the_range(seed: int) -> None:
    clean, slipped, original = made(seed, T.LOW_OVERLAP)
    iou = row_iou(slipped.xyxy, clean.xyxy[original])
    assert (iou >= SHIFT_IOU[0] - 1e-9).all() and (iou <= SHIFT_IOU[1] + 1e-9).all()
    assert np.array_equal(slipped.label, clean.label[original])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_slipped_boxes_stay_in_their_frame(seed: int) -> None:
    """CVAT lets no shape leave it; what reaches its border would otherwise always be a sound one."""
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 60, (40, 2)) * (rng.random((40, 2)) < 0.5)
    a = Annotations(
        xyxy=np.hstack([corner, np.full((40, 2), (100.0, 80))]),
        frame=np.arange(40),
        label=np.zeros(40),
        annotation_id=np.arange(40),
    )
    planted = plant(a, np.full((40, 2), (80, 100)), seed, 0.2)
    slipped = planted.annotations.xyxy[planted.mistake == T.LOW_OVERLAP]
    assert (slipped >= 0).all() and (slipped <= [100, 80, 100, 80]).all()
    unknown = plant(a, np.zeros((40, 2), np.int64), seed, 0.2).annotations.xyxy
    assert np.isfinite(unknown).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_renamed_boxes_stay_and_get_another_label_that_occurs(seed: int) -> None:
    clean, renamed, original = made(seed, T.MISMATCHING_LABEL)
    assert (renamed.label != clean.label[original]).all()
    assert np.isin(renamed.label, clean.label).all()
    assert np.array_equal(renamed.xyxy, clean.xyxy[original])


def test_invented_boxes_lie_in_the_picture_and_copies_on_their_original() -> None:
    _, invented, _ = made(5, T.EXTRA_ANNOTATION)
    assert (invented.xyxy >= 0).all() and (invented.xyxy <= 600).all()
    clean, copies, original = made(5, T.DUPLICATE_ANNOTATION)
    assert (row_iou(copies.xyxy, clean.xyxy[original]) > 0.6).all()


def test_one_seed_one_result() -> None:
    for column in ("xyxy", "label"):
        one, two = (getattr(made(1, T.LOW_OVERLAP)[1], column) for _ in range(2))
        assert np.array_equal(one, two)


def test_too_few_labels_are_left_alone() -> None:
    snapshot, _ = scene(0, frames=1)
    planted = plant(snapshot.annotations[:3], np.full((1, 2), 600), 0, 0.05)
    assert len(planted.dropped) == 0 and (planted.mistake == SOUND).all()
    assert len(plant(snapshot.annotations[:0], np.full((1, 2), 600), 0, 0.05).annotations) == 0


def test_one_label_name_cannot_be_confused() -> None:
    snapshot, _ = scene(0, labels=1)
    planted = plant(snapshot.annotations, np.full((20, 2), 600), 0, 0.1)
    assert set(planted.annotations.label.tolist()) == {0}


def test_row_iou_agrees_with_the_matrix() -> None:
    clean, slipped, original = made(9, T.LOW_OVERLAP)
    assert row_iou(slipped.xyxy, clean.xyxy[original]) == pytest.approx(
        np.diag(iou_matrix(slipped.xyxy, clean.xyxy[original]))
    )
    assert row_iou(np.zeros((1, 4)), np.zeros((1, 4))).tolist() == [0]
