"""Mistakes planted into masks: each is what its name says, and the rest stays as it was."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from audit.core.annotations import Annotations, ShapeType
from audit.core.masks import box_of, decode, encode, rle_of_rings
from audit.core.table import objects
from audit.trust.planting import plant
from audit.trust.planting_masks import (
    SOUND,
    SPOILERS,
    SPOILT_IOU,
    MaskMistake,
    cut,
    moved_outlines,
    plant_masks,
)

HW = np.array([[120, 160], [120, 160]])


def ellipse(x: float, y: float, across: float, down: float) -> bytes:
    rows, columns = np.mgrid[:120, :160]
    return encode(((columns - x) / across) ** 2 + ((rows - y) / down) ** 2 < 1)


def scene(seed: int, n: int = 24) -> Annotations:
    """Ellipses of two names in two frames; some touch, some are tiny."""
    rng = np.random.default_rng(seed)
    masks = [ellipse(*rng.uniform((10, 10), (150, 110)), *rng.uniform(2, 22, 2)) for _ in range(n)]
    boxes = np.array([box_of(m, (120, 160)) for m in masks]).reshape(-1, 4)
    return Annotations(
        xyxy=boxes,
        frame=np.sort(rng.integers(0, 2, n)),
        label=rng.integers(0, 2, n),
        annotation_id=np.arange(n) + 1,
        shape=np.full(n, ShapeType.MASK),
        mask=objects(masks),
    )


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def test_nothing_to_plant_into() -> None:
    assert len(plant_masks(scene(0, 0), HW, 0, 0.05).annotations) == 0


def test_tiny_masks_are_left_alone() -> None:
    tiny = scene(0, 6).replace(mask=objects([ellipse(20, 20, 2, 2)] * 6))
    planted = plant_masks(tiny, HW, 0, 0.2)
    assert planted.mistake.tolist() == [SOUND] * 6
    assert planted.annotations.mask.tolist() == tiny.mask.tolist()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_laws(seed: int) -> None:
    clean = scene(seed)
    planted = plant_masks(clean, HW, seed, 0.1)
    again = plant_masks(clean, HW, seed, 0.1)
    a = planted.annotations
    assert a.mask.tolist() == again.annotations.mask.tolist()
    assert (np.diff(a.frame) >= 0).all()
    truth = dict(zip(clean.annotation_id.tolist(), clean.mask, strict=True))
    for i, kind, counts, xyxy in zip(a.annotation_id.tolist(), planted.mistake, a.mask, a.xyxy, strict=True):
        now, before = decode(counts, (120, 160)), decode(truth[i], (120, 160))
        assert xyxy.tolist() == box_of(counts, (120, 160)).tolist()
        if kind == SOUND:
            assert counts == truth[i]
        elif kind in (MaskMistake.ERODED, MaskMistake.CUT):
            assert not (now & ~before).any()
            assert SPOILT_IOU[0] - 0.05 < iou(now, before) < SPOILT_IOU[1] + 0.05
        elif kind in (MaskMistake.DILATED, MaskMistake.MERGED):
            assert not (before & ~now).any()
    split = [decode(m, (120, 160)) for m in a.mask[planted.mistake == MaskMistake.SPLIT]]
    ids = a.annotation_id[planted.mistake == MaskMistake.SPLIT].tolist()
    for key in set(ids):
        one, other = (m for i, m in zip(ids, split, strict=True) if i == key)
        assert not (one & other).any()
        assert np.array_equal(one | other, decode(truth[key], (120, 160)))


def test_a_merged_mask_is_the_union_of_two_neighbours() -> None:
    one, other = ellipse(40, 60, 20, 30), ellipse(82, 60, 20, 30)
    clean = scene(0, 2).replace(mask=objects([one, other]), label=[0, 0], frame=[0, 0])
    clean = clean.replace(xyxy=[box_of(m, (120, 160)) for m in clean.mask])
    planted = plant_masks(clean, HW, 0, 0.05)
    assert planted.mistake.tolist() == [MaskMistake.MERGED]
    both = decode(one, (120, 160)) | decode(other, (120, 160))
    assert np.array_equal(decode(planted.annotations.mask[0], (120, 160)), both)


@pytest.mark.parametrize("kind", SPOILERS)
def test_spoilers_reach_the_overlap_asked_for(kind: MaskMistake) -> None:
    mask = np.zeros((200, 200), bool)
    mask[70:130, 60:140] = True
    for wanted in (0.5, 0.8):
        spoilt = SPOILERS[kind](mask, wanted, np.random.default_rng(1))
        assert iou(spoilt, mask) == pytest.approx(wanted, abs=0.03)


@pytest.mark.parametrize("kind", [MaskMistake.ERODED, MaskMistake.DILATED])
def test_worn_and_swollen_masks_change_at_their_edge_only(kind: MaskMistake) -> None:
    """Not at the edge of the window they are drawn in, where a ring once grew around every swollen mask."""
    mask = np.zeros((200, 200), bool)
    mask[70:130, 60:140] = True
    changed = SPOILERS[kind](mask, 0.6, np.random.default_rng(1)) != mask
    side = mask if kind is MaskMistake.ERODED else ~mask
    distance = ndimage.distance_transform_cdt(side, "chessboard")
    assert distance[changed].max() <= distance[side & ~changed].min()


def test_a_cut_is_straight() -> None:
    mask = np.ones((50, 50), bool)
    kept = cut(mask, 0.5, np.random.default_rng(0))
    crossings = np.abs(np.diff(kept.astype(int), axis=1)).sum(axis=1).max()
    assert kept.sum() == 1250
    assert crossings <= 3  # one edge, but for pixels that lie on it


def test_moved_outlines() -> None:
    ring = np.array([[10.0, 10], [30, 10], [30, 50], [10, 50]])
    a = Annotations(
        xyxy=[[10, 10, 30, 50]] * 3,
        frame=[0] * 3,
        label=[0] * 3,
        annotation_id=[1, 2, 3],
        points=objects([(ring,), None, None]),
        mask=objects([None, rle_of_rings([ring], (120, 160)), None]),
    )
    new = np.array([[50.0, 20, 110, 60]] * 3)
    points, masks = moved_outlines(a, new, HW)
    assert [*points[0][0].min(axis=0), *points[0][0].max(axis=0)] == [50, 20, 110, 60]
    assert box_of(masks[1], (120, 160)).tolist() == [50, 20, 110, 60]
    assert (points[1], points[2], masks[0], masks[2]) == (None, None, None, None)


def test_a_mask_moved_out_of_the_frame_is_empty() -> None:
    a = scene(0, 1)
    _, masks = moved_outlines(a, np.array([[-90.0, -90, -10, -10]]), HW)
    assert not decode(masks[0], (120, 160)).any()


def test_boxes_slip_with_their_masks_only_where_masks_are_compared() -> None:
    clean = scene(3)
    plain, kept = (plant(clean, HW, 1, 0.1, outlines=outlines) for outlines in (False, True))
    assert plain.annotations.xyxy.tolist() == kept.annotations.xyxy.tolist()
    slipped = (plain.mistake >= 0) & (plain.original >= 0) & (plain.annotations.label == kept.annotations.label)
    moved = [i for i in np.flatnonzero(slipped) if plain.annotations.mask[i] is None]
    assert moved
    assert all(kept.annotations.mask[i] is not None for i in moved)
