"""Boxes and masks between the network's picture and the frame."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

if importlib.util.find_spec("ultralytics") is None:  # not importorskip: importing it first must be ours
    pytest.skip("the ultralytics extra is not installed", allow_module_level=True)

from audit.adapters.ultralytics.decoding import Thresholds, detections, rle_of_part
from audit.adapters.ultralytics.geometry import place
from audit.core import masks


def test_of_two_overlapping_boxes_of_a_class_the_stronger_stays() -> None:
    raw = np.zeros((6, 4), np.float32)  # two classes; boxes 0 and 1 overlap by 0.82
    raw[:4] = np.array([[50, 50, 100, 100], [55, 55, 100, 100], [55, 55, 100, 100], [300, 300, 10, 10]]).T
    raw[4], raw[5] = [0.6, 0.9, 0, 0.005], [0, 0, 0.5, 0]
    found = detections(raw, 2, False, Thresholds(iou=0.7))
    assert found.score.tolist() == pytest.approx([0.9, 0.5])
    assert found.label.tolist() == [0, 1]
    assert len(detections(raw, 2, False, Thresholds(iou=0.9)).score) == 3
    assert len(detections(raw, 2, False, Thresholds(max_detections=1)).score) == 1
    assert len(detections(np.zeros((6, 0), np.float32), 2, False, Thresholds()).score) == 0


@pytest.mark.parametrize("frame_hw", [(1, 1), (1080, 810), (720, 1280), (3, 4000), (641, 639)])
@pytest.mark.parametrize("stride", [None, 32])
def test_boxes_come_back_from_where_they_were_placed(frame_hw: tuple[int, int], stride: int | None) -> None:
    p = place(frame_hw, (640, 640), stride)
    assert max(p.input_hw) <= 640
    assert p.input_hw == (640, 640) if stride is None else all(s % 32 == 0 for s in p.input_hw)
    gain_y, gain_x = p.gain_yx
    box = np.array([[0.1, 0.2, 0.8, 0.9]], np.float32) * np.array([frame_hw[1], frame_hw[0]] * 2, np.float32)
    placed = box * [gain_x, gain_y, gain_x, gain_y] + [p.left, p.top, p.left, p.top]
    assert np.allclose(p.to_frame(placed.astype(np.float32)), box, atol=1e-2)


def test_a_part_gives_the_counts_of_the_whole_frame() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        h, w = rng.integers(1, 9, 2)
        frame = np.zeros((h, w), bool)
        top, left = rng.integers(0, h), rng.integers(0, w)
        part = rng.random((rng.integers(1, h - top + 1), rng.integers(1, w - left + 1))) < rng.choice([0.2, 0.8, 1.0])
        frame[top : top + part.shape[0], left : left + part.shape[1]] = part
        assert rle_of_part(part, (int(top), int(left)), (int(h), int(w))) == masks.encode(frame)
