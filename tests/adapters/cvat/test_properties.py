"""Laws: masks are kept pixel for pixel, what goes to CVAT comes back, tracks pass through their keyframes."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from audit.adapters.cvat.geometry import ShapeError, geometry, to_cvat
from audit.adapters.cvat.tracks import shapes_of_track
from audit.core.annotations import ShapeType

HW = (23, 31)
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:pycocotools")
coordinate = st.floats(-1000, 5000, allow_nan=False, allow_infinity=False)


@st.composite
def placed_masks(draw: st.DrawFn) -> tuple[np.ndarray, tuple[int, int]]:
    """A crop of zeros and ones, and its left and top in the frame."""
    width, height = draw(st.integers(1, 12)), draw(st.integers(1, 9))
    bits = draw(st.lists(st.booleans(), min_size=width * height, max_size=width * height))
    left, top = draw(st.integers(0, HW[1] - width)), draw(st.integers(0, HW[0] - height))
    return np.array(bits, np.uint8).reshape(height, width), (left, top)


def cvat_points(crop: np.ndarray, left: int, top: int) -> list[int]:
    """An own, slow encoder of CVAT's form: runs of the crop row by row, zeros first, and the inclusive box."""
    runs = [(value, len(list(group))) for value, group in groupby(crop.ravel().tolist())]
    lengths = [n for _, n in runs] if runs[0][0] == 0 else [0, *(n for _, n in runs)]
    return [*lengths, left, top, left + crop.shape[1] - 1, top + crop.shape[0] - 1]


@given(placed_masks())
@example((np.array([[0, 1]], np.uint8), (29, 22)))  # the frame's last pixel
@example((np.zeros((1, 1), np.uint8), (0, 0)))
def test_a_mask_is_kept_pixel_for_pixel(case: tuple[np.ndarray, tuple[int, int]]) -> None:
    crop, (left, top) = case
    frame = np.zeros(HW, np.uint8)
    frame[top : top + crop.shape[0], left : left + crop.shape[1]] = crop
    place = geometry({"type": "mask", "points": cvat_points(crop, left, top)}, HW)
    assert place.problem == ""
    assert place.mask is not None
    assert (coco_mask.decode({"counts": place.mask, "size": list(HW)}) == frame).all()
    assert place.mask == coco_mask.encode(np.asfortranarray(frame))["counts"]


@given(placed_masks())
def test_a_mask_sent_to_cvat_comes_back_as_it_was(case: tuple[np.ndarray, tuple[int, int]]) -> None:
    crop, (left, top) = case
    place = geometry({"type": "mask", "points": cvat_points(crop, left, top)}, HW)
    if not crop.any():
        with pytest.raises(ValueError, match="empty"):
            to_cvat(place, HW)
        return
    again = geometry(to_cvat(place, HW), HW)
    assert again.mask == place.mask
    assert again.problem == ""


@given(st.lists(coordinate, min_size=4, max_size=4))
def test_a_rectangle_sent_to_cvat_comes_back_as_it_was(points: list[float]) -> None:
    place = geometry({"type": "rectangle", "points": points}, HW)
    assert geometry(to_cvat(place, HW), HW).xyxy == place.xyxy == tuple(points)


@given(st.lists(coordinate, min_size=4, max_size=4), st.floats(0.5, 359.5))
def test_a_turned_rectangle_comes_back_to_within_rounding(points: list[float], rotation: float) -> None:
    place = geometry({"type": "rectangle", "points": points, "rotation": rotation}, HW)
    sent = to_cvat(place, HW)
    np.testing.assert_allclose(sent["points"], points, atol=1e-6)
    again = geometry(sent, HW)
    assert again.rotation == place.rotation
    np.testing.assert_allclose(again.xyxy, place.xyxy, atol=1e-6)


@given(st.lists(st.tuples(coordinate, coordinate), min_size=3, max_size=12))
def test_a_polygon_sent_to_cvat_comes_back_as_it_was(vertices: list[tuple[float, float]]) -> None:
    place = geometry({"type": "polygon", "points": [v for xy in vertices for v in xy]}, HW)
    again = geometry(to_cvat(place, HW), HW)
    assert place.points is not None
    assert again.points is not None
    assert (again.points[0] == place.points[0]).all()
    assert again.xyxy == place.xyxy


def test_what_cvat_cannot_take_is_refused() -> None:
    with pytest.raises(ShapeError, match="cuboid"):
        to_cvat(geometry({"type": "cuboid", "points": [1.0] * 16}, HW), HW)


def keyframe(number: int, points: list[float], kind: str = "rectangle", **more: Any) -> dict[str, Any]:
    return {"type": kind, "frame": number, "points": points, "outside": False, "rotation": 0.0, **more}


@st.composite
def tracks(draw: st.DrawFn) -> dict[str, Any]:
    numbers = sorted(draw(st.sets(st.integers(0, 30), min_size=1, max_size=6)))
    kind, size = draw(st.sampled_from([("rectangle", 4), ("polygon", 8), ("points", 2), ("points", 6), ("ellipse", 4)]))
    points = st.lists(coordinate, min_size=size, max_size=size)
    rotation = st.floats(0, 359) if kind in ("rectangle", "ellipse") else st.just(0.0)
    shapes = [keyframe(n, draw(points), kind, outside=draw(st.booleans()), rotation=draw(rotation)) for n in numbers]
    return {"id": 1, "frame": numbers[0], "shapes": draw(st.permutations(shapes))}


@given(tracks())
def test_a_track_passes_through_its_keyframes_and_hides_where_outside(track: dict[str, Any]) -> None:
    shown = {s["frame"]: s for s in shapes_of_track(track, range(40))}
    keyframes = {s["frame"]: s for s in track["shapes"]}
    for number in range(40):
        before = [n for n in keyframes if n <= number]
        assert (number in shown) == bool(before and not keyframes[max(before)]["outside"])
        if number in shown and number in keyframes:
            assert shown[number]["points"] == keyframes[number]["points"]
            assert shown[number]["rotation"] == keyframes[number]["rotation"]


@given(tracks(), st.integers(0, 39))
def test_between_keyframes_a_point_stays_between_them(track: dict[str, Any], number: int) -> None:
    shown = list(shapes_of_track(track, [number]))
    keyframes = {s["frame"]: s for s in track["shapes"]}
    before, after = [n for n in keyframes if n <= number], [n for n in keyframes if n >= number]
    if not shown or not after:
        return
    a, b = (np.array(keyframes[n]["points"]) for n in (max(before), min(after)))
    points = np.array(shown[0]["points"])
    assert (points >= np.minimum(a, b) - 1e-9).all()
    assert (points <= np.maximum(a, b) + 1e-9).all()


def test_rotation_takes_the_shorter_way_round() -> None:
    track = {"shapes": [keyframe(0, [0, 0, 4, 2], rotation=350.0), keyframe(4, [0, 0, 4, 2], rotation=30.0)]}
    assert [s["rotation"] for s in shapes_of_track(track, range(5))] == pytest.approx([350, 0, 10, 20, 30])


def test_other_numbers_of_vertices_and_masks_keep_the_earlier_keyframe() -> None:
    track = {"shapes": [keyframe(0, [0.0] * 6, "polygon"), keyframe(2, [8.0] * 8, "polygon")]}
    assert [s["points"] for s in shapes_of_track(track, range(3))] == [[0.0] * 6, [0.0] * 6, [8.0] * 8]
    mask = {"shapes": [keyframe(0, [0, 4, 0, 0, 1, 1], "mask"), keyframe(2, [0, 4, 4, 4, 5, 5], "mask")]}
    assert [s["points"][2] for s in shapes_of_track(mask, range(3))] == [0, 0, 4]


def test_a_skeletons_points_move_and_hide_one_by_one() -> None:
    head = {"shapes": [keyframe(0, [0, 0], "points"), keyframe(4, [8, 4], "points")]}
    tail = {"shapes": [keyframe(0, [1, 1], "points"), keyframe(2, [1, 1], "points", outside=True)]}
    own = [keyframe(0, [], "skeleton"), keyframe(5, [], "skeleton", outside=True)]
    shown = list(shapes_of_track({"shapes": own, "elements": [head, tail]}, range(8)))
    assert [s["frame"] for s in shown] == [0, 1, 2, 3, 4]
    boxes = [geometry(s, HW).xyxy for s in shown]
    assert boxes[1] == (1, 1, 2, 1)
    assert boxes[2] == (4, 2, 4, 2)  # the tail is outside
    assert geometry(shown[0], HW).shape is ShapeType.SKELETON


def test_a_track_without_keyframes_never_shows() -> None:
    assert list(shapes_of_track({"shapes": []}, range(3))) == []
    assert list(shapes_of_track({"shapes": [], "elements": [{"shapes": []}]}, range(3))) == []
    assert list(shapes_of_track({"shapes": [keyframe(1, [0, 0, 1, 1])]}, [])) == []
