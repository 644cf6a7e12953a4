"""The benchmark of masks: what it plants is what it says, and its judge counts right."""

from __future__ import annotations

import numpy as np
import pytest

from audit.core.annotations import Annotations
from audit.core.masks import box_of, decode, encode
from audit.core.table import objects
from scripts.benchmarks.mask_mistakes import KINDS, SpoiltMasks, figures, spoil_masks

HW = np.array([[200, 300]])


def clean(n: int = 40) -> Annotations:
    """Ellipses of one name, in rows, none touching another."""
    rows, columns = np.mgrid[:200, :300]
    masks = [
        encode(((columns - 20 - 36 * (i % 8)) / 13) ** 2 + ((rows - 20 - 38 * (i // 8)) / 15) ** 2 < 1)
        for i in range(n)
    ]
    return Annotations(
        xyxy=[box_of(m, (200, 300)) for m in masks],
        frame=[0] * n,
        label=[0] * n,
        annotation_id=np.arange(n) + 1,
        mask=objects(masks),
    )


def test_each_kind_is_planted_as_often() -> None:
    spoilt = spoil_masks(clean(), HW, 0)
    assert [spoilt.planted(kind) for kind in KINDS] == [2] * 6
    assert len(spoilt.annotations) == 40 - 2 + 2  # two neighbours went into merged ones, two masks became two pieces
    assert len(spoilt.other_piece) == 2


def test_spoilt_masks_overlap_as_asked_and_the_others_are_as_they_were() -> None:
    before = clean()
    spoilt = spoil_masks(before, HW, 1)
    a = spoilt.annotations
    for i, counts in zip(a.annotation_id.tolist(), a.mask, strict=True):
        if i > 40:
            continue
        now, was = decode(counts, (200, 300)), decode(before.mask[i - 1], (200, 300))
        iou = (now & was).sum() / (now | was).sum()
        kind = spoilt.wrong.get(i, "")
        if kind == "":
            assert iou == 1
        elif kind == "merged":
            assert iou == pytest.approx(0.5, abs=0.02)
        else:
            assert 0.3 < iou < 0.9


def test_a_perfect_ranking_has_precision_one() -> None:
    spoilt = spoil_masks(clean(), HW, 2)
    found = figures([*spoilt.wrong, *range(1, 41)], spoilt)
    assert set(found.values()) == {1.0}


def test_nothing_found_is_nothing() -> None:
    assert figures([], spoil_masks(clean(), HW, 2))["all"] == 0


def test_a_split_mask_is_found_once_by_either_piece() -> None:
    spoilt = SpoiltMasks(clean(4), {1: "split", 2: "cut"}, {9: 1})
    assert figures([9, 1, 2], spoilt)["all"] == 1
    assert figures([3, 9, 2], spoilt)["all"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert figures([3, 9, 2], spoilt)["cut"] == pytest.approx(1 / 2)
