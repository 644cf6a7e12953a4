"""How a mask would have to grow or move to become another, on shapes whose answer is plain."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from audit.core.outline_fit import Fit, fit_of

Mask = NDArray[np.bool_]


def disc(x: float, y: float, radius: float, size: int = 200) -> Mask:
    rows, columns = np.mgrid[:size, :size]
    return np.asarray((columns - x) ** 2 + (rows - y) ** 2 < radius**2)


def test_nothing_can_be_told_of_empty_masks() -> None:
    nothing = np.zeros((50, 50), bool)
    assert fit_of(nothing, nothing) == fit_of(np.zeros((0, 0), bool), np.zeros((0, 0), bool)) == Fit()
    one = disc(25, 25, 10, 50)
    for a, b in ((one, nothing), (nothing, one)):
        assert fit_of(a, b) == Fit(side=pytest.approx(np.sqrt(one.sum())))


def test_a_pixel_in_a_large_window_may_vanish_on_the_grid() -> None:
    one, other = np.zeros((400, 400), bool), disc(200, 200, 150, 400)
    one[3, 3] = True
    assert fit_of(one, other) == Fit(side=pytest.approx(np.sqrt(other.sum())))


def test_the_same_mask_gains_nothing() -> None:
    for mask in (disc(100, 100, 60), np.ones((30, 40), bool), np.ones((1, 1), bool)):
        same = fit_of(mask, mask)
        assert (same.iou, same.all_round, same.growing, same.moving) == (1, 0, 0, 0)
        assert np.hypot(*same.slip) < 0.1


@pytest.mark.parametrize("by", [-12, -6, 6, 12])
def test_too_large_or_too_small_all_round(by: int) -> None:
    found = fit_of(disc(100, 100, 60 + by), disc(100, 100, 60))
    assert found.all_round == pytest.approx(by, abs=2)
    assert found.growing > 0.9 - found.iou
    assert (found.moving, found.clarity) == (0, pytest.approx(0, abs=0.3))


@pytest.mark.parametrize("by", [(20, 0), (-9, 12), (0, -25)])
def test_moved(by: tuple[int, int]) -> None:
    found = fit_of(disc(100 + by[0], 100 + by[1], 50), disc(100, 100, 50))
    assert found.slip == pytest.approx(by, abs=4)
    assert found.moving > 0.9 - found.iou
    assert (found.all_round, found.growing) == (0, pytest.approx(0, abs=0.02))
    assert found.clarity > 2


def test_a_part_cut_off_is_neither() -> None:
    whole = np.zeros((200, 200), bool)
    whole[40:160, 40:160] = True
    left = whole.copy()
    left[:, 100:] = False
    found = fit_of(left, whole)
    assert found.all_round == 0
    assert max(found.growing, found.moving) < 0.1
    assert found.clarity < 1.5


def test_lengths_are_pixels_at_any_size() -> None:
    small, large = (
        fit_of(disc(s // 2 + s // 20, s // 2, s // 4, s), disc(s // 2, s // 2, s // 4, s)) for s in (60, 900)
    )
    assert (large.side / 900, large.slip[0] / 900) == pytest.approx((small.side / 60, small.slip[0] / 60), rel=0.15)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 90), st.integers(1, 90))
def test_laws(seed: int, height: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = (rng.random((height, width)) < rng.choice([0.02, 0.5, 1.0]) for _ in range(2))
    found = fit_of(a, b)
    assert 0 <= found.iou <= 1
    assert min(found.growing, found.moving, found.clarity, found.side) >= 0
    assert max(found.growing, found.moving) + found.iou <= 1 + 1e-9
    assert np.isfinite([found.all_round, *found.slip, found.clarity]).all()
