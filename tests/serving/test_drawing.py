"""Masks told by runs, against every pixel worked out one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.serving.drawing import framed
from audit.serving.replies import mask_points, polygon_points, rectangle_points, tight
from tests.serving.cases import mask_of_runs


def values(logits: np.ndarray, gain_xy: tuple[float, float], frame_hw: tuple[int, int]) -> np.ndarray:
    """The interpolated grid at every pixel's centre."""

    def taps(count: int, gain: float, side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        at = np.clip((np.arange(count) + 0.5) * gain - 0.5, 0, side - 1)
        low = np.floor(at).astype(int)
        return low, np.minimum(low + 1, side - 1), at - low

    (y0, y1, fy), (x0, x1, fx) = (
        taps(frame_hw[0], gain_xy[1], len(logits)),
        taps(frame_hw[1], gain_xy[0], logits.shape[1]),
    )
    grid = logits.astype(np.float64)
    lines = grid[y0] * (1 - fy)[:, None] + grid[y1] * fy[:, None]
    return np.asarray(lines[:, x0] * (1 - fx) + lines[:, x1] * fx)


@settings(deadline=None)  # the first example loads OpenCV, and the machine may be busy
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 12),
    st.tuples(st.integers(1, 50), st.integers(1, 50)),
    st.floats(-1.5, 1.5),
    st.booleans(),
)
def test_runs_are_the_pixels_above_zero(
    seed: int, side: int, hw: tuple[int, int], bias: float, stretched: bool
) -> None:
    logits = np.random.default_rng(seed).normal(bias, 1, (side, side)).astype(np.float32)
    gain = (side / hw[1], side / hw[0]) if stretched else (side / max(hw), side / max(hw))
    expected = values(logits, gain, hw)
    clear = np.abs(expected) > 1e-5  # below, rounding decides
    region = framed(logits, gain, hw)
    if region is None:
        assert not ((expected > 0) & clear).any()
        return
    found = mask_of_runs(mask_points(region), hw)
    assert np.array_equal(found[clear], expected[clear] > 0)
    again = tight(found)
    assert again is not None
    assert (again.left, again.top) == (region.left, region.top) and np.array_equal(again.mask, region.mask)
    assert mask_points(again) == mask_points(region)
    assert rectangle_points(again) == rectangle_points(region) and polygon_points(again) == polygon_points(region)


def test_nothing_and_a_frame_full() -> None:
    assert framed(np.zeros((8, 8), np.float32), (0.1, 0.1), (80, 80)) is None
    region = framed(np.ones((8, 8), np.float32), (0.1, 0.1), (60, 80))
    assert region is not None and mask_points(region) == [0, 60 * 80, 0, 0, 79, 59]


def test_a_single_pixel_at_the_very_end() -> None:
    logits = np.full((4, 4), -1, np.float32)
    logits[3, 3] = 1
    region = framed(logits, (1.0, 1.0), (4, 4))
    assert region is not None and mask_points(region) == [0, 1, 3, 3, 3, 3]


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_logits_that_are_no_numbers(odd: float) -> None:
    logits = np.full((8, 8), -1, np.float32)
    logits[2:6, 2:6] = 1
    logits[0, 0] = odd
    region = framed(logits, (1.0, 1.0), (8, 8))
    assert region is not None and region.mask[-4:, -4:].all()
    assert region.inclusive_box == ([0, 0, 5, 5] if odd == np.inf else [2, 2, 5, 5])
