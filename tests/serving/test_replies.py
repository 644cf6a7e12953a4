"""Encodings, decoded as CVAT does."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from audit.core.masks import encode
from audit.serving.replies import (
    MAX_POLYGON_POINTS,
    Region,
    confidence_text,
    interactor_reply,
    mask_item,
    mask_points,
    polygon_points,
    rectangle_item,
    tight,
)
from audit.serving.replies import region_of as region_of_counts
from tests.serving.cases import iou, mask_of_crop, mask_of_runs

masks = st.tuples(st.integers(1, 12), st.integers(1, 12)).flatmap(
    lambda hw: st.lists(st.booleans(), min_size=hw[0] * hw[1], max_size=hw[0] * hw[1]).map(
        lambda bits: np.array(bits, bool).reshape(hw)
    )
)


def region_of(mask: np.ndarray) -> Region:
    found = tight(mask)
    assert found is not None
    return found


def circle(radius: int, hole: int = 0, side: int = 400) -> np.ndarray:
    y, x = np.mgrid[:side, :side] - side // 2
    return (x**2 + y**2 < radius**2) & (x**2 + y**2 >= hole**2)


def test_nothing_has_no_region() -> None:
    assert tight(np.zeros((3, 4), bool)) is None
    assert tight(np.zeros((0, 0), bool)) is None


@settings(deadline=None)  # the first example loads OpenCV, and the machine may be busy
@given(masks)
def test_counts_give_the_region_of_the_mask(mask: np.ndarray) -> None:
    found, expected = region_of_counts(encode(mask), mask.shape), tight(mask)
    if found is None or expected is None:
        assert found is expected
        return
    assert (found.left, found.top) == (expected.left, expected.top) and np.array_equal(found.mask, expected.mask)


@settings(deadline=None)  # the first example loads OpenCV, and the machine may be busy
@given(masks)
def test_runs_give_the_mask_back(mask: np.ndarray) -> None:
    region = tight(mask)
    if region is None:
        assert not mask.any()
        return
    assert np.array_equal(mask_of_runs(mask_points(region), mask.shape), mask)


@settings(deadline=None)  # the first example loads OpenCV, and the machine may be busy
@given(masks.filter(lambda m: m.any()))
def test_a_detectors_crop_gives_the_mask_back(mask: np.ndarray) -> None:
    item = json.loads(mask_item("cell", region_of(mask), 0.5))
    assert np.array_equal(mask_of_crop(item["mask"], mask.shape), mask)
    assert len(item["points"]) >= 6 and len(item["points"]) % 2 == 0


def test_runs_start_with_zeros_even_if_there_are_none() -> None:
    assert mask_points(Region(np.array([[True, False], [True, True]]), 5, 7)) == [0, 1, 1, 2, 5, 7, 6, 8]


def test_the_recorded_mask_of_the_contract() -> None:
    region = Region(np.array([[0, 1, 1, 0], [1, 1, 1, 1]], bool), 10, 20)
    assert mask_points(region) == [1, 2, 1, 4, 10, 20, 13, 21]


@pytest.mark.parametrize("radius", [1, 2, 3, 10, 60, 180])
def test_a_polygon_covers_its_mask(radius: int) -> None:
    mask = circle(radius)
    points = polygon_points(region_of(mask))
    assert len(points) <= 2 * MAX_POLYGON_POINTS
    drawn = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects([points], *mask.shape))).astype(bool)
    assert iou(drawn, mask) > (0.95 if radius >= 10 else 0.55)


def test_a_polygon_follows_the_largest_part_and_leaves_holes_out() -> None:
    mask = circle(100, hole=30)
    mask[:5, :5] = True
    points = polygon_points(region_of(mask))
    drawn = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects([points], *mask.shape))).astype(bool)
    assert iou(drawn, circle(100)) > 0.97


def test_a_ragged_outline_has_a_bounded_number_of_points() -> None:
    rng = np.random.default_rng(0)
    mask = circle(150) & (rng.random((400, 400)) > 0.3)
    assert 6 <= len(polygon_points(region_of(mask))) <= 2 * MAX_POLYGON_POINTS


@pytest.mark.parametrize("output", ["mask", "polygon", "rectangle"])
def test_nothing_found_is_an_empty_list(output: str) -> None:
    assert json.loads(interactor_reply(None, 0.9, output, (4, 5))) == {"shapes": []}


def test_one_shape_with_its_confidence_as_text() -> None:
    reply = json.loads(interactor_reply(region_of(circle(50)), 0.934, "mask", (400, 400)))
    (shape,) = reply["shapes"]
    assert shape["type"] == "mask" and shape["attributes"] == [{"spec_id": 0, "value": "0.93"}]
    assert np.array_equal(mask_of_runs(shape["points"], (400, 400)), circle(50))


def test_other_outputs() -> None:
    region = Region(np.ones((3, 4), bool), 10, 20)
    (box,) = json.loads(interactor_reply(region, 0.9, "rectangle", (50, 50)))["shapes"]
    assert box["type"] == "rectangle" and box["points"] == [10, 20, 14, 23]
    (polygon,) = json.loads(interactor_reply(region, 0.9, "polygon", (50, 50)))["shapes"]
    assert polygon["type"] == "polygon" and len(polygon["points"]) >= 6


def test_the_legacy_reply_is_the_whole_frame() -> None:
    legacy = json.loads(interactor_reply(Region(np.ones((1, 2), bool), 1, 2), 0.9, "legacy", (4, 5)))
    assert legacy == {"mask": [[0] * 5, [0] * 5, [0, 1, 1, 0, 0], [0] * 5]}
    assert json.loads(interactor_reply(None, 0, "legacy", (2, 3))) == {"mask": [[0, 0, 0], [0, 0, 0]]}


@pytest.mark.parametrize(("score", "text"), [(0, "0.00"), (1.07, "1.00"), (-0.1, "0.00"), (0.5, "0.50")])
def test_confidence_lies_between_0_and_1(score: float, text: str) -> None:
    assert confidence_text(score) == text


def test_a_box_as_json_needs_no_vendor_types() -> None:
    item = json.loads(rectangle_item('a "quoted" läbel', [1.234, 2, 3, 4], float(np.float32(0.9))))
    assert item == {
        "confidence": "0.90",
        "label": 'a "quoted" läbel',
        "attributes": [],
        "type": "rectangle",
        "points": [1.23, 2, 3, 4],
    }
