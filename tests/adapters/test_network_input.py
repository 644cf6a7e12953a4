"""What the network is shown, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from audit.adapters.ultralytics.environment import load_opencv
from audit.adapters.ultralytics.geometry import GREY, Placement, network_input, place


def as_defined(rgb: np.ndarray, placement: Placement) -> np.ndarray:
    """Scaled, on grey, divided by 255, colours first."""
    h, w = placement.scaled_hw
    canvas = np.full((*placement.input_hw, 3), GREY, np.uint8)
    scaled = rgb if (h, w) == placement.frame_hw else load_opencv().resize(rgb, (w, h))
    canvas[placement.top : placement.top + h, placement.left : placement.left + w] = scaled
    planes = canvas.transpose(2, 0, 1)[None].astype(np.float32)
    return np.asarray(planes / np.float32(255))


@pytest.mark.parametrize("stride", [None, 32])
@pytest.mark.parametrize("frame_hw", [(640, 640), (457, 640), (640, 427), (1, 1), (900, 1300), (31, 2000), (320, 200)])
def test_the_input_is_as_defined(frame_hw: tuple[int, int], stride: int | None) -> None:
    rgb = np.random.default_rng(sum(frame_hw)).integers(0, 256, (*frame_hw, 3), np.uint8)
    placement = place(frame_hw, (640, 640), stride)
    for picture in (rgb, rgb[:, ::-1]):  # a mirrored view lies in memory the other way round
        before = picture.copy()
        shown = network_input(np.ascontiguousarray(picture), placement)
        assert shown.dtype == np.float32
        assert shown.flags.c_contiguous
        assert np.array_equal(shown, as_defined(np.ascontiguousarray(picture), placement))
        assert np.array_equal(picture, before)


def test_every_grey_level_is_divided_exactly() -> None:
    rgb = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2)
    shown = network_input(rgb, place((16, 16), (16, 16), None))
    assert np.array_equal(shown[0, 0].ravel(), np.arange(256, dtype=np.float32) / np.float32(255))
