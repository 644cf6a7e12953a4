from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from audit.core.annotations import Annotations, Predictions, ShapeType
from audit.report.crops import ASPECT, MIN_SIDE_PX, View, jpeg, view_of
from audit.report.outlines import MAX_POINTS, annotation_path, box_path, mask_rings, prediction_path

NOISE = np.random.default_rng(3).integers(0, 255, (900, 1200, 3), np.uint8)


def boxes(*rows: list[float]) -> np.ndarray:
    return np.array(rows, float).reshape(-1, 4)


@pytest.mark.parametrize("nothing", [boxes(), boxes([np.nan] * 4), boxes([np.inf, 0, 5, 5])])
def test_without_a_box_the_whole_frame_is_shown(nothing: np.ndarray) -> None:
    assert view_of(nothing, (640, 480)) == View(0, 0, 640, 480)
    assert view_of(nothing, (0, 0)) == View(0, 0, MIN_SIDE_PX, MIN_SIDE_PX)


def test_a_box_outside_the_frame_shows_the_whole_frame() -> None:
    assert view_of(boxes([900, 900, 950, 950]), (640, 480)) == View(0, 0, 640, 480)


def test_the_view_holds_both_boxes_with_room_around() -> None:
    view = view_of(boxes([300, 300, 400, 350], [380, 320, 500, 400]), (2000, 1500))
    assert view.x < 300 - 50
    assert view.y < 300 - 25
    assert view.x + view.width > 500 + 50
    assert view.y + view.height > 400 + 25
    assert view.width / view.height == pytest.approx(ASPECT, abs=0.02)


@pytest.mark.parametrize("frame_wh", [(400, 2000), (2000, 400)])
def test_a_narrow_frame_is_not_shown_at_full_length(frame_wh: tuple[int, int]) -> None:
    view = view_of(boxes([100, 100, 300, 300]), frame_wh)
    assert 300 <= max(view.width, view.height) < 700


def test_a_tiny_object_is_shown_with_its_surroundings() -> None:
    view = view_of(boxes([500, 500, 503, 502]), (2000, 1500))
    assert (view.width, view.height) == (round(MIN_SIDE_PX * ASPECT), MIN_SIDE_PX)
    assert view.x < 500 < view.x + view.width
    assert view.y < 500 < view.y + view.height


@pytest.mark.parametrize("seed", range(20))
def test_views_lie_within_their_frame(seed: int) -> None:
    rng = np.random.default_rng(seed)
    width, height = (int(v) for v in rng.integers(1, 3000, 2))
    view = view_of(rng.uniform(-500, 3500, (2, 4)), (width, height))
    assert view.x >= 0 <= view.y
    assert view.width >= 1 <= view.height
    assert view.x + view.width <= width
    assert view.y + view.height <= height


@pytest.mark.parametrize("frame_wh", [(0, 0), (640, 480)])
def test_absurd_coordinates_do_no_harm(frame_wh: tuple[int, int]) -> None:
    view = view_of(boxes([1e300, -1e300, -1e300, 1e300]), frame_wh)
    assert 0 < view.width < 1e7


def test_small_crops_are_enlarged_and_large_ones_reduced() -> None:
    for view in (View(10, 10, 40, 30), View(0, 0, 1200, 900)):
        picture = Image.open(io.BytesIO(jpeg(NOISE, view, 10**6)))
        assert picture.size == (480, 360)


def test_a_crop_that_is_sharp_enough_is_not_enlarged() -> None:
    picture = Image.open(io.BytesIO(jpeg(NOISE, View(10, 10, 400, 300), 10**6)))
    assert picture.size == (400, 300)
    bound = Image.open(io.BytesIO(jpeg(NOISE, View(10, 10, 400, 300), 5_000)))
    assert max(bound.size) < 320


def test_a_crop_keeps_to_its_bytes() -> None:
    free, bound = jpeg(NOISE, View(0, 0, 1200, 900), 10**6), jpeg(NOISE, View(0, 0, 1200, 900), 20_000)
    assert len(free) > 20_000 >= len(bound)


def test_a_crop_shows_its_part_of_the_picture() -> None:
    pixels = np.zeros((100, 200, 3), np.uint8)
    pixels[40:60, 120:160] = [250, 20, 20]
    crop = np.asarray(Image.open(io.BytesIO(jpeg(pixels, View(124, 42, 30, 16), 10**6))))
    assert np.abs(crop.astype(int) - [250, 20, 20]).max() < 12


def test_a_mask_outline_runs_round_the_mask() -> None:
    mask = np.zeros((80, 120), np.uint8)
    mask[20:50, 30:90] = 1
    counts = coco_mask.encode(np.asfortranarray(mask))["counts"]
    (ring,) = mask_rings(counts, (120, 80), View(0, 0, 120, 80))
    assert [*ring.min(axis=0), *ring.max(axis=0)] == pytest.approx([30, 20, 90, 50])
    (shifted,) = mask_rings(counts, (120, 80), View(20, 10, 90, 60))
    assert [*shifted.min(axis=0), *shifted.max(axis=0)] == pytest.approx([30, 20, 90, 50])


def test_a_large_mask_is_traced_to_about_a_pixel_of_the_card() -> None:
    mask = np.zeros((1500, 2000), np.uint8)
    mask[300:900, 400:1600] = 1
    counts = coco_mask.encode(np.asfortranarray(mask))["counts"]
    (ring,) = mask_rings(counts, (2000, 1500), View(0, 0, 2000, 1500))
    assert [*ring.min(axis=0), *ring.max(axis=0)] == pytest.approx([400, 300, 1600, 900], abs=5)


@pytest.mark.parametrize("frame_wh", [(120, 80), (0, 0), (100_000, 100_000)])
def test_a_mask_that_cannot_be_drawn_gives_the_box(frame_wh: tuple[int, int]) -> None:
    counts = coco_mask.encode(np.zeros((80, 120), np.uint8, order="F"))["counts"]
    assert mask_rings(counts, frame_wh, View(0, 0, 120, 80)) == []
    predicted = Predictions(xyxy=[[1, 2, 3, 4]], label=[0], score=[0.5], mask=[counts])
    path = prediction_path("proposed", predicted, 0, View(0, 0, 120, 80), frame_wh)
    assert path is not None
    assert path.d == "M1.0 2.0L3.0 2.0L3.0 4.0L1.0 4.0Z"


def shape(kind: ShapeType, points: object = None) -> Annotations:
    return Annotations(xyxy=[[10, 20, 30, 40]], frame=[0], label=[0], annotation_id=[1], shape=[kind], points=[points])


TRIANGLE = (np.array([[10.0, 20], [30, 20], [20, 40]]),)
VIEW = View(10, 20, 100, 100)


@pytest.mark.parametrize(
    ("kind", "points", "expected"),
    [
        (ShapeType.RECTANGLE, None, "M0.0 0.0L20.0 0.0L20.0 20.0L0.0 20.0Z"),
        (ShapeType.POLYGON, TRIANGLE, "M0.0 0.0L20.0 0.0L10.0 20.0Z"),
        (ShapeType.POLYGON, TRIANGLE * 2, "M0.0 0.0L20.0 0.0L10.0 20.0Z" * 2),
        (ShapeType.POLYLINE, TRIANGLE, "M0.0 0.0L20.0 0.0L10.0 20.0"),
        (ShapeType.POINTS, TRIANGLE, "M0.0 0.0h0M20.0 0.0h0M10.0 20.0h0"),
        (ShapeType.TAG, None, None),
    ],
)
def test_each_kind_of_shape_is_drawn_as_it_was_made(kind: ShapeType, points: object, expected: str | None) -> None:
    path = annotation_path("existing", shape(kind, points), 0, VIEW, (200, 200))
    assert (path and path.d) == expected


def test_a_box_that_is_not_finite_is_not_drawn() -> None:
    assert box_path("existing", np.array([0, np.nan, 1, 1]), VIEW) is None


def test_points_that_are_not_finite_are_left_out() -> None:
    ring = (np.array([[10.0, 20], [np.nan, 1], [np.inf, 2], [30, 20]]),)
    path = annotation_path("existing", shape(ShapeType.POLYLINE, ring), 0, VIEW, (200, 200))
    assert path is not None
    assert path.d == "M0.0 0.0L20.0 0.0"


def test_an_endless_outline_is_thinned_out() -> None:
    ring = (np.random.default_rng(0).random((50_000, 2)) * 100,)
    path = annotation_path("existing", shape(ShapeType.POLYGON, ring), 0, VIEW, (200, 200))
    assert path is not None
    assert path.d.count("L") < MAX_POINTS
