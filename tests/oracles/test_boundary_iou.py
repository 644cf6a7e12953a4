"""Boundary IoU and parts of a difference against the plain computation on whole frames."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from audit.core.masks import decode, encode
from audit.core.outlines import SIDES, areas, boundary_iou, boundary_width, crop, crop_pair, difference
from audit.core.table import objects

SQUARE = np.ones((3, 3), bool)


def blob(rng: np.random.Generator, h: int, w: int) -> NDArray[np.bool_]:
    """A lumpy shape of one or more pieces that may run over the frame's edge; now and then nothing."""
    smooth = ndimage.gaussian_filter(rng.normal(size=(h, w)), rng.uniform(0.5, 6))
    return np.asarray(smooth > rng.choice([0.0, smooth.std(), smooth.max() + 1]))


def band(mask: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """As the paper's own code: eroded ``width`` times by a 3 x 3 square, with background around the image."""
    return np.asarray(mask & ~ndimage.binary_erosion(mask, SQUARE, iterations=width, border_value=0))


def plain_boundary_iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    width = max(1, round(0.02 * np.hypot(*a.shape)))
    one, other = band(a, width), band(b, width)
    union = (one | other).sum()
    return float((one & other).sum() / union) if union else 1.0


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_boundary_iou_equals_the_plain_computation(seed: int) -> None:
    rng = np.random.default_rng(seed)
    h, w = (int(v) for v in rng.integers(1, 150, 2))
    a, b = blob(rng, h, w), blob(rng, h, w)
    assert boundary_iou(encode(a), encode(b), (h, w)) == pytest.approx(plain_boundary_iou(a, b), abs=1e-12)
    assert difference(encode(a), encode(b), (h, w)).boundary_iou == pytest.approx(plain_boundary_iou(a, b), abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_crop_is_the_part_of_the_whole(seed: int) -> None:
    rng = np.random.default_rng(seed)
    h, w = (int(v) for v in rng.integers(1, 60, 2))
    mask, other = blob(rng, h, w), blob(rng, h, w)
    (x1, x2), (y1, y2) = np.sort(rng.integers(0, w + 1, 2)), np.sort(rng.integers(0, h + 1, 2))
    assert np.array_equal(crop(encode(mask), (h, w), (x1, y1, x2, y2)), mask[y1:y2, x1:x2])
    left, right, (x, y) = crop_pair(encode(mask), encode(other), (h, w))
    for whole, part in ((mask, left), (other, right)):
        back = np.zeros((h, w), bool)
        back[y : y + part.shape[0], x : x + part.shape[1]] = part
        assert np.array_equal(back, whole)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_parts_equal_the_plain_computation(seed: int) -> None:
    rng = np.random.default_rng(seed)
    h, w = (int(v) for v in rng.integers(20, 120, 2))
    a, b = blob(rng, h, w), blob(rng, h, w)
    found = difference(encode(a), encode(b), (h, w))
    rim = round(0.02 * np.sqrt(max(a.sum(), b.sum())))
    for part, rest, of in ((found.missing, b & ~a, b), (found.extra, a & ~b, a)):
        opened = ndimage.binary_opening(np.pad(rest, rim + 1), np.ones((2 * rim + 1, 2 * rim + 1)))
        labels, n = ndimage.label(opened)
        largest = max((int((labels == i + 1).sum()) for i in range(n)), default=0)
        assert part == pytest.approx(largest / max(of.sum(), 1))


def test_empty_masks() -> None:
    nothing, all_of_it = encode(np.zeros((9, 7))), encode(np.ones((9, 7)))
    assert boundary_iou(nothing, nothing, (9, 7)) == 1
    assert boundary_iou(nothing, all_of_it, (9, 7)) == 0
    assert crop_pair(nothing, nothing, (9, 7))[0].shape == (0, 0)
    found = difference(nothing, all_of_it, (9, 7))
    assert (found.missing, found.extra, found.drift) == (1, 0, (0, 0))
    assert areas(objects([nothing, None, all_of_it]), np.full((3, 2), (9, 7))).tolist() == [0, 0, 63]


def test_the_band_is_two_percent_of_the_diagonal() -> None:
    assert [boundary_width(hw) for hw in ((480, 640), (3, 4), (2160, 3840))] == [16, 1, 88]


@pytest.mark.parametrize(
    ("cut", "side"),
    [
        ((slice(None), slice(0, 20)), "left"),
        ((slice(None), slice(80, 100)), "right"),
        ((slice(0, 20), slice(None)), "top"),
        ((slice(80, 100), slice(None)), "bottom"),
        ((slice(0, 40), slice(0, 40)), "upper left"),
        ((slice(60, 100), slice(60, 100)), "lower right"),
        ((slice(30, 70), slice(30, 70)), "middle"),
    ],
)
def test_where_a_part_is_missing(cut: tuple[slice, slice], side: str) -> None:
    whole = np.zeros((200, 200), bool)
    whole[50:150, 50:150] = True
    label = whole.copy()
    label[50:150, 50:150][cut] = False
    gone = difference(encode(label), encode(whole), (200, 200))
    assert SIDES[gone.missing_at] == side
    assert gone.missing == pytest.approx((whole & ~label).sum() / whole.sum())
    assert gone.extra == 0
    back = difference(encode(whole), encode(label), (200, 200))
    assert (SIDES[back.extra_at], back.extra) == (side, gone.missing)


def test_a_broad_rim_lies_all_around() -> None:
    whole, label = np.zeros((200, 200), bool), np.zeros((200, 200), bool)
    whole[50:150, 50:150], label[70:130, 70:130] = True, True
    gone = difference(encode(label), encode(whole), (200, 200))
    assert (SIDES[gone.missing_at], gone.missing) == ("", pytest.approx(0.64))


def test_a_rim_is_no_part() -> None:
    whole = np.zeros((200, 200), bool)
    whole[50:150, 50:150] = True
    found = difference(encode(ndimage.binary_erosion(whole, SQUARE, iterations=3)), encode(whole), (200, 200))
    assert found.missing == 0
    assert found.boundary_iou < 0.8


def test_drift_points_from_the_prediction_to_the_label() -> None:
    a, b = np.zeros((60, 90)), np.zeros((60, 90))
    a[20:30, 40:50], b[25:35, 10:20] = 1, 1
    assert difference(encode(a), encode(b), (60, 90)).drift == pytest.approx((30, -5))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_laws(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = blob(rng, 50, 70), blob(rng, 50, 70)
    one, other = difference(encode(a), encode(b), (50, 70)), difference(encode(b), encode(a), (50, 70))
    assert one.boundary_iou == other.boundary_iou
    assert (one.missing, one.extra) == (other.extra, other.missing)
    assert difference(encode(a), encode(a), (50, 70)).boundary_iou == 1
    assert np.array_equal(decode(encode(a), (50, 70)), a)


def test_broken_counts_are_background() -> None:
    small = encode(np.ones((3, 3)))
    assert crop(small, (10, 10), (0, 0, 10, 10)).sum() == 9
    assert crop(encode(np.ones((20, 20))), (10, 10), (0, 0, 10, 10)).all()
    assert not crop(b"", (10, 10), (0, 0, 10, 10)).any()


@pytest.mark.parametrize("scale", [2, 5])
def test_large_masks_are_told_nearly_as_exactly_at_a_bounded_cost(scale: int) -> None:
    rng = np.random.default_rng(scale)
    h, w = 300 * scale, 400 * scale
    rows, columns = np.mgrid[:h, :w]
    angle = np.arctan2(rows - h / 2, columns - w / 2)
    away = np.hypot(rows - h / 2, columns - w / 2) / scale
    a = away < 100 + 8 * np.sin(5 * angle + rng.uniform(0, 6))
    b = (away < 104 + 4 * np.sin(9 * angle)) & (columns < 0.6 * w)
    found = difference(encode(a), encode(b), (h, w))
    assert found.boundary_iou == pytest.approx(plain_boundary_iou(a, b), abs=0.03)
    rim = round(0.02 * np.sqrt(max(a.sum(), b.sum())))
    opened = ndimage.binary_opening(a & ~b, np.ones((2 * rim + 1, 2 * rim + 1)))
    labels, n = ndimage.label(opened)
    largest = max(int((labels == i + 1).sum()) for i in range(n))
    assert found.extra == pytest.approx(largest / a.sum(), abs=0.02)
