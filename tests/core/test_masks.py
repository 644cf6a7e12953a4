import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from audit.core import masks


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 40))
def test_decode_gives_back_what_was_encoded(seed: int, h: int, w: int) -> None:
    mask = np.random.default_rng(seed).random((h, w)) < 0.4
    assert np.array_equal(masks.decode(masks.encode(mask), (h, w)), mask)


@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(1, 60))
def test_run_lengths_agree_with_the_mask(seed: int, h: int, w: int) -> None:
    mask = np.random.default_rng(seed).random((h, w)) < 0.1
    runs = masks.run_lengths(masks.encode(mask))
    assert sum(runs) == h * w
    assert sum(runs[1::2]) == mask.sum()


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fill 5 x 5 px"):
        masks.decode(masks.encode(np.ones((4, 4))), (5, 5))


@given(st.integers(0, 2**32 - 1), st.integers(1, 3))
def test_polygons_are_drawn_to_the_pixel_as_pycocotools_draws_them(seed: int, rings: int) -> None:
    rng = np.random.default_rng(seed)
    polygons = [rng.uniform(-5, 55, (rng.integers(3, 9), 2)) for _ in range(rings)]
    expected = np.zeros((50, 50), bool)
    for polygon in polygons:
        (rle,) = coco_mask.frPyObjects([polygon.ravel().tolist()], 50, 50)
        expected |= coco_mask.decode(rle).astype(bool)
    assert np.array_equal(masks.decode(masks.rle_of_rings(polygons, (50, 50)), (50, 50)), expected)


def test_degenerate_rings_cover_nothing() -> None:
    assert not masks.decode(masks.rle_of_rings([np.zeros((2, 2))], (9, 9)), (9, 9)).any()
    assert not masks.decode(masks.rle_of_rings([], (9, 9)), (9, 9)).any()


def test_pair_iou_and_box() -> None:
    a, b = np.zeros((20, 30)), np.zeros((20, 30))
    a[2:12, 5:15], b[2:12, 10:20] = 1, 1
    counts = np.array([masks.encode(a), masks.encode(b)], dtype=object)
    sizes = np.array([[20, 30], [20, 30]])
    assert masks.pair_iou(counts, counts[::-1], sizes) == pytest.approx([1 / 3, 1 / 3])
    assert masks.box_of(counts[0], (20, 30)).tolist() == [5, 2, 15, 12]
    assert masks.box_of(masks.encode(np.zeros((4, 4))), (4, 4)).tolist() == [0, 0, 0, 0]


def test_rotation_is_clockwise_on_screen() -> None:
    corners = masks.rotated_rectangle([0, 0, 4, 2], 90)
    assert corners == pytest.approx(np.array([[3, -1], [3, 3], [1, 3], [1, -1]]))


def test_ellipse_area() -> None:
    x, y = masks.ellipse_outline((50, 40), (30, 20), degrees=25).T
    area = 0.5 * abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))
    assert area == pytest.approx(np.pi * 30 * 20, rel=0.0005)


@given(st.floats(-180, 180), st.floats(1, 50), st.floats(1, 50))
def test_ellipse_box_is_the_outlines(degrees: float, rx: float, ry: float) -> None:
    outline = masks.ellipse_outline((10, 20), (rx, ry), degrees)
    box = [*outline.min(axis=0), *outline.max(axis=0)]
    assert masks.ellipse_box((10, 20), (rx, ry), degrees) == pytest.approx(box, abs=0.02 * max(rx, ry))
